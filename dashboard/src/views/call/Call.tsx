/** One call: what was asked, every attempt at an answer, what went wrong, and what came of it. */
import { ActionIcon, Anchor, Group, SimpleGrid, Text } from "@mantine/core";
import { useHotkeys } from "@mantine/hooks";
import { IconArrowLeft, IconChevronLeft, IconChevronRight } from "@tabler/icons-react";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { api, asProblem } from "../../api/client";
import type { CallDetail } from "../../api/schema";
import { useTenantHeader, useWindow } from "../../app/scope";
import { useFormats } from "../../language/formats";
import { StatusBadge } from "../../parts/badge";
import { Copy } from "../../parts/copy";
import { Figure, Figures } from "../../parts/figure";
import { Empty, Loaded } from "../../parts/loaded";
import { Panel } from "../../parts/panel";
import { View } from "../../parts/view";
import { filtersOf } from "../calls/filters";
import { asObject, numberIn, textIn } from "./attempts";
import classes from "./Call.module.css";
import { Content, Json } from "./Content";
import { curlOf } from "./curl";
import { Feedback } from "./Feedback";
import { call as route } from "./route";
import { Timeline } from "./Timeline";
import { useCallWords } from "./words";

const NOT_FOUND = 404;

export function Call() {
  const t = useCallWords();
  const { requestId } = route.useParams();
  const header = useTenantHeader();
  const params = { path: { request_id: requestId }, header };
  const query = api.useQuery("get", "/api/v1/ai/logs/{request_id}", { params });
  const isMissing = query.error !== null && asProblem(query.error).status === NOT_FOUND;
  return (
    <View
      title={t("title", { id: requestId })}
      heading={<span className={classes.id}>{requestId}</span>}
      actions={<Around requestId={requestId} call={query.data} />}
    >
      {isMissing ? (
        <Empty title={t("notFound")}>{t("notFoundWhy")}</Empty>
      ) : (
        <Loaded query={query} height={320}>
          {(data) => <Shown key={data.request_id} call={data} />}
        </Loaded>
      )}
    </View>
  );
}

/** Ways out of the call: to the list, to its neighbours, into the clipboard. */
function Around({ requestId, call }: { requestId: string; call: CallDetail | undefined }) {
  const t = useCallWords();
  const search = route.useSearch();
  const { tenant } = useSearch({ from: "__root__" });
  const navigate = useNavigate();
  const header = useTenantHeader();
  const window = useWindow();
  const filters = filtersOf(search);
  const query = api.useQuery(
    "get",
    "/api/v1/ai/logs/{request_id}/neighbours",
    // The range is left out where it would end before the call: then all are its neighbours.
    { params: { path: { request_id: requestId }, query: { ...filters, until: window.until }, header } },
    { retry: false },
  );
  const go = (to: string | null | undefined) => {
    if (to)
      void navigate({
        to: "/calls/$requestId",
        params: { requestId: to },
        search: { ...search, tenant } as never,
      });
  };
  const { newer, older } = query.data ?? {};
  useHotkeys([
    ["k", () => go(newer)],
    ["j", () => go(older)],
  ]);
  return (
    <>
      <Anchor component={Link} to="/calls" search={filters as never} size="sm" className={classes.back}>
        <IconArrowLeft size={16} aria-hidden />
        {t("back")}
      </Anchor>
      <Group gap={4}>
        <ActionIcon
          variant="default"
          aria-label={t("newer")}
          title={`${t("newer")} (k)`}
          disabled={!newer}
          onClick={() => go(newer)}
        >
          <IconChevronLeft size={16} aria-hidden />
        </ActionIcon>
        <ActionIcon
          variant="default"
          aria-label={t("older")}
          title={`${t("older")} (j)`}
          disabled={!older}
          onClick={() => go(older)}
        >
          <IconChevronRight size={16} aria-hidden />
        </ActionIcon>
      </Group>
      <Copy label={t("link")} text={linkTo(requestId, tenant)} />
      {call && <Copy label={t("curl")} text={curlOf(call, location.origin)} />}
    </>
  );
}

/** The call's address; whose it is belongs to it, since tenants may have the same ids. */
function linkTo(requestId: string, tenant: string | undefined): string {
  const of = tenant ? `?tenant=${encodeURIComponent(tenant)}` : "";
  return `${location.origin}/calls/${encodeURIComponent(requestId)}${of}`;
}

function Shown({ call }: { call: CallDetail }) {
  const t = useCallWords();
  const formats = useFormats();
  const told = asObject(call.response_metadata);
  const input = numberIn(told, "input_tokens");
  const output = numberIn(told, "output_tokens");
  const cost = numberIn(told, "cost");
  const first = numberIn(told, "ttft_ms");
  return (
    <>
      <Figures>
        <Figure
          label={t("begun")}
          value={formats.clock(call.created_at)}
          note={formats.moment(call.created_at)}
        />
        <Figure
          label={t("time")}
          value={formats.duration(call.processing_time_ms)}
          note={<StatusBadge status={call.status} />}
        />
        <Figure
          label={t("attempts")}
          value={formats.integer(numberIn(told, "attempts") ?? call.steps.length + 1)}
        />
        <Figure
          label={t("tokens")}
          value={formats.integer(call.tokens_used)}
          note={
            input !== null &&
            output !== null &&
            t("tokensNote", { input: formats.integer(input), output: formats.integer(output) })
          }
        />
        <Figure label={t("cost")} value={formats.money(cost, textIn(told, "cost_currency") ?? "")} />
        {first !== null && <Figure label={t("ttft")} value={formats.duration(first)} />}
      </Figures>
      <Timeline call={call} />
      <Failures call={call} />
      <Content call={call} />
      <SimpleGrid cols={{ base: 1, md: 2 }}>
        <Panel title={t("request")}>
          <Facts
            facts={[
              [t("tenant"), call.tenant_id],
              [t("module"), call.module],
              [t("task"), call.task],
              [t("user"), call.user_id],
              [t("modelRequested"), call.model_requested],
              [t("temperature"), call.temperature],
              [t("maxTokens"), formats.integer(call.max_tokens)],
              [
                t("promptLength"),
                t("characters", { count: call.prompt_length, n: formats.integer(call.prompt_length) }),
              ],
              [t("promptHash"), call.prompt_hash && <code className={classes.hash}>{call.prompt_hash}</code>],
            ]}
          />
        </Panel>
        <Panel title={t("answer")}>
          <Facts
            facts={[
              [t("provider"), call.provider_used],
              [t("model"), call.provider_model],
              [t("finish"), textIn(told, "finish_reason")],
              [
                t("answerLength"),
                call.response_content_length !== null &&
                  t("characters", {
                    count: call.response_content_length,
                    n: formats.integer(call.response_content_length),
                  }),
              ],
              [t("inputTokens"), formats.integer(input)],
              [t("cachedTokens"), formats.integer(numberIn(told, "cached_tokens"))],
              [t("outputTokens"), formats.integer(output)],
              [t("reasoningTokens"), formats.integer(numberIn(told, "reasoning_tokens"))],
              [t("confidence"), formats.share(call.confidence_score)],
              [t("prices"), textIn(told, "cost_prices")],
            ]}
          />
        </Panel>
      </SimpleGrid>
      <Feedback call={call} />
      <Panel title={t("metadata")}>
        <SimpleGrid cols={{ base: 1, md: 2 }}>
          <div>
            <Text size="xs" c="dimmed" mb={4}>
              {t("ofRequest")}
            </Text>
            <Json value={call.request_metadata} label={t("ofRequest")} />
          </div>
          <div>
            <Text size="xs" c="dimmed" mb={4}>
              {t("ofAnswer")}
            </Text>
            <Json value={call.response_metadata} label={t("ofAnswer")} />
          </div>
        </SimpleGrid>
      </Panel>
    </>
  );
}

function Failures({ call }: { call: CallDetail }) {
  const t = useCallWords();
  if (call.patterns.length === 0 && !call.error_message) return null;
  return (
    <Panel title={t("failure")}>
      {call.error_message && (
        <Facts
          facts={[
            [t("kind"), call.error_code],
            [t("message"), call.error_message],
          ]}
        />
      )}
      {call.patterns.map((pattern) => (
        <div key={pattern.pattern} className={classes.pattern}>
          <Facts
            facts={[
              [
                t("pattern"),
                <Anchor
                  key="link"
                  component={Link}
                  to="/errors/$pattern"
                  params={{ pattern: pattern.pattern } as never}
                  inherit
                >
                  {pattern.pattern}
                </Anchor>,
              ],
              [t("cause"), pattern.probable_cause],
              [t("action"), pattern.suggested_action],
            ]}
          />
        </div>
      ))}
    </Panel>
  );
}

/** What is known, name by name; what is not is left out. */
function Facts({ facts }: { facts: [string, ReactNode][] }) {
  const known = facts.filter(
    ([, value]) => value !== null && value !== undefined && value !== false && value !== "–",
  );
  return (
    <dl className={classes.facts}>
      {known.map(([name, value]) => (
        <div key={name} className={classes.fact}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}
