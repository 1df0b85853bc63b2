/** How providers, recorder and storage are. */
import { Text } from "@mantine/core";
import { api } from "../../api/client";
import type { Health as State } from "../../api/schema";
import { useFormats } from "../../language/formats";
import { Figure, Figures } from "../../parts/figure";
import { Loaded } from "../../parts/loaded";
import { View } from "../../parts/view";
import { useCaller } from "../../session/session";
import { useFollow } from "../../time/follow";
import { RangeControl } from "../../time/range-control";
import { Losses } from "./Losses";
import { Providers } from "./Providers";
import { Retention } from "./Retention";
import { Storage } from "./Storage";
import { useHealthWords } from "./words";

/** Milliseconds after which it is looked again. */
const LOOK = 15_000;

export function Health() {
  const t = useHealthWords();
  const query = api.useQuery("get", "/api/v1/ai/health", {}, { refetchInterval: LOOK });
  useFollow(query);
  const caller = useCaller();
  /** Runs delete everybody's calls: the server tells of them to admins of all tenants alone. */
  const seesRuns = caller.role === "admin" && caller.tenant_id === null;
  return (
    <View title={t("title")} actions={<RangeControl />}>
      <Loaded query={query} height={320}>
        {(health) => (
          <>
            <Numbers health={health} />
            <Providers health={health} />
            {health.spool && <Losses spool={health.spool} />}
          </>
        )}
      </Loaded>
      <Storage />
      {seesRuns && <Retention />}
      {query.data && !query.data.spool && (
        <Text size="xs" c="dimmed">
          {t("onlyAll")}
        </Text>
      )}
    </View>
  );
}

function Numbers({ health }: { health: State }) {
  const t = useHealthWords();
  const formats = useFormats();
  const { spool } = health;
  return (
    <Figures>
      <Figure label={t("state")} value={t(health.status)} note={t(`${health.status}Note`)} />
      <Figure label={t("version")} value={health.version} note="cajanegra" />
      <Figure label={t("database")} value={t(`db_${health.database}`)} note={health.database_version} />
      {spool && (
        <>
          <Figure label={t("waiting")} value={formats.bytes(spool.waiting_bytes)} note={t("waitingNote")} />
          <Figure label={t("lag")} value={formats.duration(spool.lag_seconds * 1000)} note={t("lagNote")} />
          <Figure label={t("dropped")} value={formats.integer(spool.dropped_calls)} note={t("droppedNote")} />
        </>
      )}
    </Figures>
  );
}
