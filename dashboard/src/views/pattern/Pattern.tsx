/** One error pattern: why it is, whom it hits, what recovers it, and what is decided about it. */
import { Anchor, Button, Group, SimpleGrid, Text } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { api } from "../../api/client";
import type { ErrorDetail } from "../../api/schema";
import { useTenantHeader } from "../../app/scope";
import { useFormats } from "../../language/formats";
import { useLanguage } from "../../language/words";
import { Figure, Figures } from "../../parts/figure";
import { Failure, Loaded } from "../../parts/loaded";
import { Panel } from "../../parts/panel";
import { PatternState } from "../../parts/pattern-state";
import { View } from "../../parts/view";
import { useFollow } from "../../time/follow";
import { RangeControl } from "../../time/range-control";
import { Correction } from "./Correction";
import { useDecide } from "./decide";
import { Grouping } from "./Grouping";
import { History } from "./History";
import { Hits } from "./Hits";
import classes from "./pattern.module.css";
import { Remedies } from "./Remedies";
import { pattern } from "./route";
import { Samples } from "./Samples";
import { Trend } from "./Trend";
import { usePatternWords } from "./words";

export function Pattern() {
  const t = usePatternWords();
  const { pattern: name } = pattern.useParams();
  const header = useTenantHeader();
  const lang = useLanguage();
  const query = api.useQuery("get", "/api/v1/ai/logs/errors/{pattern}", {
    params: { path: { pattern: name }, query: { lang }, header },
  });
  useFollow(query);
  const heading = (
    <Group gap="sm" component="span">
      <span className={classes.name}>{query.data?.pattern ?? name}</span>
      {query.data && <PatternState status={query.data.status} marks={query.data.marks} />}
    </Group>
  );
  return (
    <View
      title={`${name} · ${t("title")}`}
      heading={heading}
      actions={
        <>
          {query.data && <Decisions detail={query.data} />}
          <RangeControl />
        </>
      }
    >
      <Loaded query={query} height={420}>
        {(detail) => <Shown detail={detail} />}
      </Loaded>
    </View>
  );
}

function Shown({ detail }: { detail: ErrorDetail }) {
  const t = usePatternWords();
  return (
    <>
      <Numbers detail={detail} />
      <SimpleGrid cols={{ base: 1, md: 2 }} spacing="md">
        <Panel title={t("why")}>
          <Text className={classes.term}>{t("cause")}</Text>
          <p className={classes.text}>{detail.probable_cause ?? t("unknown")}</p>
          <Text className={classes.term} mt="sm">
            {t("action")}
          </Text>
          <p className={classes.text}>{detail.suggested_action ?? t("unknown")}</p>
        </Panel>
        <Grouping detail={detail} />
      </SimpleGrid>
      <Trend name={detail.pattern} />
      <Remedies detail={detail} />
      <SimpleGrid cols={{ base: 1, md: 2 }} spacing="md">
        <Correction key={detail.correction ?? ""} detail={detail} />
        <Hits detail={detail} />
      </SimpleGrid>
      <Samples detail={detail} />
      {detail.message_pattern !== null && <History detail={detail} />}
    </>
  );
}

function Numbers({ detail }: { detail: ErrorDetail }) {
  const t = usePatternWords();
  const formats = useFormats();
  const { trend } = detail;
  return (
    <Figures>
      <Figure
        label={t("failures")}
        value={formats.integer(detail.count)}
        link={(content) => (
          <Anchor component={Link} to="/calls" search={{ pattern: detail.pattern } as never} inherit>
            {content}
          </Anchor>
        )}
      />
      <Figure
        label={t("recovered")}
        value={formats.share(detail.count ? detail.recovered / detail.count : null)}
        note={`${formats.integer(detail.recovered)} ${t("recoveredNote")}`}
      />
      <Figure
        label={t("recent")}
        value={formats.integer(trend.recent)}
        note={
          trend.expected === null
            ? t("tooYoung")
            : t("expected", { n: formats.compact(Math.round(trend.expected * 10) / 10) })
        }
      />
      <Figure
        label={t("firstSeen")}
        value={formats.ago(detail.first_occurred)}
        note={formats.moment(detail.first_occurred)}
      />
      <Figure
        label={t("lastSeen")}
        value={formats.ago(detail.last_occurred)}
        note={formats.moment(detail.last_occurred)}
      />
    </Figures>
  );
}

/** What may be decided about its status. */
function Decisions({ detail }: { detail: ErrorDetail }) {
  const t = usePatternWords();
  const { decide, mayDecide, isDeciding, problem } = useDecide();
  if (!mayDecide) return null;
  const choices = (["resolved", "wontfix", "open"] as const).filter((name) => name !== detail.status);
  const words = { resolved: t("resolve"), wontfix: t("wontfix"), open: t("reopen") };
  return (
    <>
      {problem !== null && <Failure error={problem} />}
      {choices.map((name) => (
        <Button
          key={name}
          size="xs"
          variant={name === "resolved" ? "filled" : "default"}
          disabled={isDeciding}
          onClick={() => void decide([detail.pattern], { status: name })}
        >
          {words[name]}
        </Button>
      ))}
    </>
  );
}
