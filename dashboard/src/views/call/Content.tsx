/** The text of prompt and answer, where it is captured: as a chat, or as it was sent. */
import { Code, SegmentedControl, Text } from "@mantine/core";
import { useNavigate } from "@tanstack/react-router";
import type { CallDetail } from "../../api/schema";
import { Empty } from "../../parts/loaded";
import { Panel } from "../../parts/panel";
import { asObject } from "./attempts";
import classes from "./Content.module.css";
import { call as route, TABS, type Tab } from "./route";
import { type CallWords, useCallWords } from "./words";

export function Content({ call }: { call: CallDetail }) {
  const t = useCallWords();
  const { tab = "chat" } = route.useSearch();
  const navigate = useNavigate({ from: "/calls/$requestId" });
  const isCaptured = call.prompt != null || call.answer != null;
  if (!isCaptured) {
    return (
      <Panel title={t("content")}>
        <Empty title={t("notCaptured")}>{t("notCapturedWhy")}</Empty>
      </Panel>
    );
  }
  const choice = (
    <SegmentedControl
      size="xs"
      aria-label={t("content")}
      value={tab}
      data={TABS.map((name) => ({ value: name, label: t(name) }))}
      onChange={(chosen) =>
        void navigate({
          search: (now) => ({ ...now, tab: chosen === "chat" ? undefined : (chosen as Tab) }),
          resetScroll: false,
        })
      }
    />
  );
  return (
    <Panel title={t("content")} actions={choice}>
      {tab === "json" ? (
        <Json value={{ prompt: call.prompt, answer: call.answer }} label={t("content")} />
      ) : (
        <div className={classes.chat}>
          {messagesOf(call.prompt).map(({ role, text }, index) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: messages have nothing else that tells them apart
            <Message key={index} by={role} text={text} t={t} />
          ))}
          {call.answer != null && <Message by="assistant" text={call.answer} t={t} />}
        </div>
      )}
    </Panel>
  );
}

/** Something as indented JSON, in a box that scrolls. */
export function Json({ value, label }: { value: unknown; label: string }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reached by the keyboard
    <section className={classes.json} aria-label={label} tabIndex={0}>
      <Code block>{JSON.stringify(value, null, 2)}</Code>
    </section>
  );
}

function Message({ by, text, t }: { by: string; text: string; t: CallWords }) {
  const said: Record<string, string> = {
    system: t("system"),
    developer: t("developer"),
    user: t("userRole"),
    assistant: t("assistant"),
    tool: t("tool"),
  };
  return (
    <article className={classes.message} data-role={by}>
      <Text size="xs" fw={600} c="dimmed">
        {said[by] ?? by}
      </Text>
      <div className={classes.text}>{text}</div>
    </article>
  );
}

/** The messages of a prompt in whatever form it was sent. */
function messagesOf(prompt: unknown): { role: string; text: string }[] {
  if (prompt === null || prompt === undefined) return [];
  if (!Array.isArray(prompt)) return [{ role: "user", text: textOf(prompt) }];
  return prompt.map((one) => {
    const { role, content, tool_calls: calls } = asObject(one);
    const text = [
      content === null || content === undefined ? "" : textOf(content),
      calls ? textOf(calls) : "",
    ];
    return { role: typeof role === "string" ? role : "user", text: text.filter(Boolean).join("\n") };
  });
}

function textOf(content: unknown): string {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) return JSON.stringify(content, null, 2);
  return content
    .map((part) => {
      const { text } = asObject(part);
      return typeof text === "string" ? text : JSON.stringify(part, null, 2);
    })
    .join("\n");
}
