/** What models are used, by whom, how many tokens of which type, and what that costs. */
import { Anchor, SegmentedControl } from "@mantine/core";
import { keepPreviousData } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { api } from "../../api/client";
import type { UsageStatistics } from "../../api/schema";
import { useTenantHeader, useWindow } from "../../app/scope";
import { useFormats } from "../../language/formats";
import { CountedSince } from "../../parts/counted-since";
import { Figure, Figures } from "../../parts/figure";
import { Empty, Loaded } from "../../parts/loaded";
import { View } from "../../parts/view";
import { useCaller } from "../../session/session";
import { RangeControl } from "../../time/range-control";
import { Groups } from "./Groups";
import { GROUPINGS, type Grouping, models } from "./route";
import { Time } from "./Time";
import { Unpriced } from "./Unpriced";
import { useModelsWords } from "./words";

export function Models() {
  const t = useModelsWords();
  const { by = "model" } = models.useSearch();
  const window = useWindow();
  const header = useTenantHeader();
  const caller = useCaller();
  const navigate = useNavigate({ from: "/models" });
  const query = api.useQuery(
    "get",
    "/api/v1/ai/logs/statistics/usage",
    { params: { query: { ...window, group_by: by }, header } },
    { placeholderData: keepPreviousData },
  );
  const isOneTenants = caller.tenant_id !== null || header["X-Cajanegra-Tenant"] !== undefined;
  const choice = (
    <SegmentedControl
      size="xs"
      aria-label={t("groupedBy")}
      value={by}
      onChange={(chosen) =>
        void navigate({
          search: (now) => ({ ...now, by: chosen === "model" ? undefined : (chosen as Grouping) }),
          resetScroll: false,
        })
      }
      data={GROUPINGS.filter((name) => name !== "tenant" || !isOneTenants).map((name) => ({
        value: name,
        label: t(name),
      }))}
    />
  );
  return (
    <View
      title={t("title")}
      actions={
        <>
          {choice}
          <RangeControl />
        </>
      }
    >
      <Loaded
        query={query}
        height={420}
        isEmpty={(data) => data.calls === 0}
        empty={<Empty title={t("empty")}>{t("emptyWhy")}</Empty>}
      >
        {(data) => (
          <>
            <Numbers data={data} />
            <CountedSince at={data.counted_since} />
            <Time by={by} />
            <Groups data={data} by={by} />
            <Unpriced data={data} />
          </>
        )}
      </Loaded>
    </View>
  );
}

function Numbers({ data }: { data: UsageStatistics }) {
  const t = useModelsWords();
  const formats = useFormats();
  const costs = Object.entries(data.costs);
  const share = (part: number, whole: number) => formats.share(whole ? part / whole : null);
  return (
    <Figures>
      <Figure
        label={t("calls")}
        value={formats.integer(data.calls)}
        link={(content) => (
          <Anchor component={Link} to="/calls" inherit>
            {content}
          </Anchor>
        )}
      />
      <Figure label={t("tokens")} value={formats.compact(data.tokens)} />
      <Figure
        label={t("inputTokens")}
        value={formats.compact(data.input_tokens)}
        note={t("cachedNote", { share: share(data.cached_tokens, data.input_tokens) })}
      />
      <Figure
        label={t("outputTokens")}
        value={formats.compact(data.output_tokens)}
        note={t("reasoningNote", { share: share(data.reasoning_tokens, data.output_tokens) })}
      />
      {costs.length === 0 && <Figure label={t("cost")} value="–" note={t("noCost")} />}
      {costs.map(([currency, amount]) => (
        <Figure
          key={currency}
          label={t("cost")}
          value={formats.money(amount, currency)}
          note={currency === "unknown" ? t("currencyUnknown") : currency}
        />
      ))}
      <Figure
        label={t("unpriced")}
        value={share(data.unpriced_tokens, data.tokens)}
        note={t("unpricedNote", {
          tokens: formats.compact(data.unpriced_tokens),
          count: formats.integer(data.unpriced_calls),
        })}
      />
    </Figures>
  );
}
