/** What the latest runs of retention have deleted, for admins of all tenants. */
import { Code, Stack, Table, Text } from "@mantine/core";
import { api } from "../../api/client";
import type { RetentionRun } from "../../api/schema";
import { useFormats } from "../../language/formats";
import { Badge, type Tone } from "../../parts/badge";
import { Empty, Loaded } from "../../parts/loaded";
import { NumberHeads } from "../../parts/number-heads";
import { Panel } from "../../parts/panel";
import { ScrolledTable } from "../../parts/scrolled";
import { useFollow } from "../../time/follow";
import classes from "./health.module.css";
import { useHealthWords } from "./words";

const SHOWN = 10;
/** Milliseconds after which it is looked again how far a run is. */
const LOOK = 5_000;
const COUNTS = ["calls", "contents", "links", "rollups", "partitions"] as const;
const TONES: Record<RetentionRun["state"], Tone> = {
  running: "quiet",
  done: "ok",
  cut_short: "recovered",
  failed: "failed",
  died: "failed",
};

export function Retention() {
  const t = useHealthWords();
  const query = api.useQuery(
    "get",
    "/api/v1/ai/logs/retention",
    { params: { query: { limit: SHOWN } } },
    {
      refetchInterval: ({ state }) =>
        state.data?.runs.some((run) => run.state === "running") ? LOOK : false,
    },
  );
  useFollow(query);
  return (
    <Loaded query={query}>
      {({ policy, runs }) => (
        <Panel title={t("runs")} note={t("keeps", { count: policy.default_days })}>
          {runs.length === 0 ? <NoRuns isOn={policy.run_by_server} /> : <Runs runs={runs} />}
        </Panel>
      )}
    </Loaded>
  );
}

function NoRuns({ isOn }: { isOn: boolean }) {
  const t = useHealthWords();
  return (
    <Empty title={t("noRuns")}>
      {isOn ? (
        t("noRunsServer")
      ) : (
        <Stack gap={6} align="center">
          {t("switchOn")}
          <Code block>{"[retention]\nserve = true"}</Code>
          {t("orCron")}
          <Code block>0 2 * * * cajanegra cleanup</Code>
        </Stack>
      )}
    </Empty>
  );
}

function Runs({ runs }: { runs: readonly RetentionRun[] }) {
  const t = useHealthWords();
  return (
    <>
      <ScrolledTable label={t("runs")} minWidth={860} wraps>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>{t("began")}</Table.Th>
            <Table.Th>{t("startedBy")}</Table.Th>
            <Table.Th>{t("outcome")}</Table.Th>
            <Table.Th className="number">{t("took")}</Table.Th>
            <NumberHeads names={[...COUNTS, "freed_bytes"]} say={(name) => t(name)} />
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {runs.map((run) => (
            <Row key={run.id} run={run} />
          ))}
        </Table.Tbody>
      </ScrolledTable>
      <Text size="xs" c="dimmed" mt={6}>
        {t("freedWhy")}
      </Text>
    </>
  );
}

function Row({ run }: { run: RetentionRun }) {
  const t = useHealthWords();
  const formats = useFormats();
  const until = new Date(run.ended_at ?? run.updated_at).getTime();
  return (
    <Table.Tr>
      <Table.Th scope="row" fw={500}>
        {formats.short(run.began_at)}
      </Table.Th>
      <Table.Td>{t(`by_${run.started_by}`)}</Table.Td>
      <Table.Td>
        <Badge tone={TONES[run.state]}>{t(`run_${run.state}`)}</Badge>
        {run.state === "running" && (
          <span className={classes.small}>{t("heard", { ago: formats.ago(run.updated_at) })}</span>
        )}
        {run.state === "cut_short" && <span className={classes.small}>{t("nextGoesOn")}</span>}
        {run.error && <span className={`${classes.small} ${classes.error}`}>{run.error}</span>}
      </Table.Td>
      <Table.Td className="number">{formats.duration(until - new Date(run.began_at).getTime())}</Table.Td>
      {COUNTS.map((name) => (
        <Table.Td key={name} className="number">
          {formats.integer(run.counts[name])}
        </Table.Td>
      ))}
      <Table.Td className="number">{formats.bytes(run.counts.freed_bytes)}</Table.Td>
    </Table.Tr>
  );
}
