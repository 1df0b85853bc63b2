/** What a person thinks of the answer, and what would have been right. */
import { Button, Group, SegmentedControl, Text, TextInput } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { asProblem, http } from "../../api/client";
import type { CallDetail } from "../../api/schema";
import { useTenantHeader } from "../../app/scope";
import { Failure } from "../../parts/loaded";
import { Panel } from "../../parts/panel";
import { useCaller } from "../../session/session";
import { useCallWords } from "./words";

const WORDS = { thumbs_up: "good", thumbs_down: "bad" } as const;

export function Feedback({ call }: { call: CallDetail }) {
  const t = useCallWords();
  const header = useTenantHeader();
  const mayWrite = useCaller().role === "admin";
  const [word, setWord] = useState(call.user_feedback === "thumbs_down" ? "thumbs_down" : "thumbs_up");
  const [correction, setCorrection] = useState("");
  const sending = useMutation({
    mutationFn: async () => {
      const { error } = await http.POST("/api/v1/ai/logs/{request_id}/feedback", {
        params: { path: { request_id: call.request_id }, header },
        body: { feedback: word, correction: correction.trim() || null },
      });
      if (error) throw asProblem(error);
    },
  });
  if (!mayWrite && !call.user_feedback) return null;

  function send(event: FormEvent) {
    event.preventDefault();
    sending.mutate();
  }

  const said = (given: string) => (given in WORDS ? t(WORDS[given as keyof typeof WORDS]) : given);
  return (
    <Panel title={t("feedback")}>
      {call.user_feedback && (
        <Text size="sm" mb="xs">
          {call.correction_applied
            ? t("nowCorrected", { word: said(call.user_feedback), correction: call.correction_applied })
            : t("now", { word: said(call.user_feedback) })}
        </Text>
      )}
      {mayWrite && (
        <form onSubmit={send}>
          <Group gap="xs" align="flex-end">
            <SegmentedControl
              size="xs"
              aria-label={t("feedback")}
              value={word}
              onChange={setWord}
              data={Object.entries(WORDS).map(([value, name]) => ({ value, label: t(name) }))}
            />
            <TextInput
              size="xs"
              flex="1 1 240px"
              maxLength={255}
              aria-label={t("correction")}
              placeholder={t("correction")}
              value={correction}
              onChange={(event) => setCorrection(event.currentTarget.value)}
            />
            <Button size="xs" type="submit" loading={sending.isPending}>
              {t("send")}
            </Button>
          </Group>
          <div role="status">{sending.isSuccess && <Text size="sm">{t("sent")}</Text>}</div>
          {sending.error && <Failure error={sending.error} />}
        </form>
      )}
    </Panel>
  );
}
