/** A call's attempts, drawn to scale. */
import { Anchor, Text } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import type { CallDetail } from "../../api/schema";
import { type Formats, useFormats } from "../../language/formats";
import { Badge } from "../../parts/badge";
import { Panel } from "../../parts/panel";
import { type Attempt, asObject, attemptsOf, numberIn, textIn } from "./attempts";
import classes from "./Timeline.module.css";
import { type CallWords, useCallWords } from "./words";

const STRATEGIES = ["first", "retry", "fallback", "simplify"] as const;

export function Timeline({ call }: { call: CallDetail }) {
  const t = useCallWords();
  const formats = useFormats();
  const attempts = attemptsOf(call);
  const total = Math.max(attempts.at(-1)?.to ?? 0, 1);
  const metadata = asObject(call.response_metadata);
  const waited = numberIn(metadata, "waited_ms");
  const gaveUp = textIn(metadata, "gave_up_because");
  const currency = textIn(metadata, "cost_currency") ?? "USD";
  return (
    <Panel
      title={t("timeline")}
      note={t("toScale", { total: formats.duration(call.processing_time_ms ?? total) })}
    >
      {waited !== null && waited > 0 && (
        <Text size="sm" mb="xs">
          {t("waitBefore", { time: formats.duration(waited) })}
        </Text>
      )}
      <ol className={classes.attempts}>
        {attempts.map((attempt) => (
          <li key={attempt.number} className={classes.attempt}>
            <div className={classes.who}>
              <Text size="sm" fw={600}>
                {attempt.provider}{" "}
                <Text span c="dimmed" size="sm">
                  {attempt.model}
                </Text>
              </Text>
              <Text size="xs" c="dimmed">
                {strategyOf(attempt, t)}
              </Text>
            </div>
            <div className={classes.what}>
              <Bar attempt={attempt} total={total} label={told(attempt, t, formats, currency).join(", ")} />
              <div className={classes.told}>
                <Badge tone={attempt.isAnswered ? "ok" : "failed"}>
                  {attempt.isAnswered ? t("answered") : attempt.outcome}
                </Badge>
                {told(attempt, t, formats, currency).map((part) => (
                  <span key={part}>{part}</span>
                ))}
              </div>
              {!attempt.isAnswered && attempt.message && <Text size="sm">{attempt.message}</Text>}
              {!attempt.isAnswered && attempt.pattern && (
                <Anchor
                  component={Link}
                  to="/errors/$pattern"
                  params={{ pattern: attempt.pattern } as never}
                  size="xs"
                >
                  {attempt.pattern}
                </Anchor>
              )}
              {attempt.reason && (
                <Text size="xs" c="dimmed">
                  {t("because")}: {attempt.reason}
                </Text>
              )}
              {attempt.changed && (
                <Text size="xs" c="dimmed">
                  {t("changed")}: {attempt.changed}
                </Text>
              )}
            </div>
          </li>
        ))}
      </ol>
      {gaveUp && (
        <Text size="sm" mt="xs">
          {t("gaveUp", { reason: gaveUp })}
        </Text>
      )}
    </Panel>
  );
}

function strategyOf(attempt: Attempt, t: CallWords): string {
  const known = STRATEGIES.find((name) => name === attempt.strategy);
  return known ? t(known) : attempt.strategy;
}

function told(attempt: Attempt, t: CallWords, formats: Formats, currency: string): string[] {
  const wait = attempt.asked - attempt.from;
  return [
    t("took", { time: formats.duration(attempt.to - attempt.asked) }),
    ...(attempt.waitAsked === null ? [] : [t("asked", { time: formats.duration(attempt.waitAsked) })]),
    ...(wait > 0 ? [t("waited", { time: formats.duration(wait) })] : []),
    ...(attempt.cost === null ? [] : [t("costs", { amount: formats.money(attempt.cost, currency) })]),
  ];
}

function Bar({ attempt, total, label }: { attempt: Attempt; total: number; label: string }) {
  const share = (ms: number) => `${(ms / total) * 100}%`;
  return (
    <div className={classes.track} role="img" aria-label={label}>
      <span
        className={classes.wait}
        style={{ left: share(attempt.from), width: share(attempt.asked - attempt.from) }}
      />
      <span
        className={classes.bar}
        data-answered={attempt.isAnswered || undefined}
        style={{ left: share(attempt.asked), width: share(attempt.to - attempt.asked) }}
      />
    </div>
  );
}
