/** What recovery does about failures, how often that works, and what it costs. */
import { Anchor } from "@mantine/core";
import { keepPreviousData } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { api } from "../../api/client";
import type { Flow as Failures } from "../../api/schema";
import { useTenantHeader, useWindow } from "../../app/scope";
import { useFormats } from "../../language/formats";
import { CountedSince } from "../../parts/counted-since";
import { Figure, Figures } from "../../parts/figure";
import { Empty, Loaded } from "../../parts/loaded";
import { View } from "../../parts/view";
import { RangeControl } from "../../time/range-control";
import { Corrections } from "./Corrections";
import { Flow } from "./Flow";
import { Targets } from "./Targets";
import { useRecoveryWords } from "./words";

export function Recovery() {
  const t = useRecoveryWords();
  const query = useWindow();
  const header = useTenantHeader();
  const flow = api.useQuery(
    "get",
    "/api/v1/ai/logs/recoveries/flow",
    { params: { query, header } },
    { placeholderData: keepPreviousData },
  );
  return (
    <View title={t("title")} actions={<RangeControl />}>
      <Loaded
        query={flow}
        height={420}
        isEmpty={(data) => data.items.length === 0}
        empty={<Empty title={t("empty")}>{t("emptyWhy")}</Empty>}
      >
        {(data) => (
          <>
            <Numbers items={data.items} />
            <CountedSince at={data.counted_since} />
            <Flow items={data.items} />
            <Targets />
          </>
        )}
      </Loaded>
      <Corrections />
    </View>
  );
}

function Numbers({ items }: { items: readonly Failures[] }) {
  const t = useRecoveryWords();
  const formats = useFormats();
  const query = useWindow();
  const header = useTenantHeader();
  const calls = api.useQuery(
    "get",
    "/api/v1/ai/logs/statistics",
    { params: { query, header } },
    { placeholderData: keepPreviousData },
  );
  const targets = api.useQuery(
    "get",
    "/api/v1/ai/logs/recoveries/targets",
    { params: { query, header } },
    { placeholderData: keepPreviousData },
  );
  const sum = (meant: (one: Failures) => boolean) =>
    items.filter(meant).reduce((total, one) => total + one.failures, 0);
  const steps = sum((one) => one.strategy !== null);
  const worked = sum((one) => one.answered);
  const prices = (targets.data?.items ?? []).flatMap((one) => one.cost ?? []);
  const cost = prices.length > 0 ? prices.reduce((total, one) => total + one, 0) : null;
  return (
    <Figures>
      <Figure label={t("failures")} value={formats.integer(sum(() => true))} note={t("failuresNote")} />
      <Figure label={t("steps")} value={formats.integer(steps)} note={t("stepsNote")} />
      <Figure label={t("worked")} value={formats.share(steps ? worked / steps : null)} />
      <Figure
        label={t("recovered")}
        value={formats.integer(calls.data?.recovered)}
        note={t("recoveredNote", { share: formats.share(calls.data?.recovered_share) })}
        link={to("recovered")}
      />
      <Figure
        label={t("givenUp")}
        value={formats.integer(sum((one) => one.strategy === null))}
        link={to("failed")}
      />
      <Figure
        label={t("cost")}
        value={formats.money(cost, "USD")}
        note={targets.data && (cost === null ? t("costNone") : t("costNote"))}
      />
    </Figures>
  );
}

/** Leads to the calls that a number counts. */
function to(outcome: "recovered" | "failed") {
  return (content: ReactNode) => (
    <Anchor component={Link} to="/calls" search={{ outcome } as never} inherit>
      {content}
    </Anchor>
  );
}
