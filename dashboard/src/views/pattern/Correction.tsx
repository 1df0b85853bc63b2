/** The correction that is enabled for it, and how to enable another. */
import {
  Alert,
  Button,
  Group,
  NumberInput,
  SegmentedControl,
  Select,
  SimpleGrid,
  Stack,
  Text,
  TextInput,
} from "@mantine/core";
import { useState } from "react";
import type { ErrorDetail } from "../../api/schema";
import { Failure } from "../../parts/loaded";
import { Panel } from "../../parts/panel";
import { type Settings, STRATEGIES, type Strategy, useStrategies } from "../../parts/strategy";
import { useDecide } from "./decide";
import { usePatternWords } from "./words";

export function Correction({ detail }: { detail: ErrorDetail }) {
  const t = usePatternWords();
  const strategies = useStrategies();
  const { decide, mayDecide, isDeciding, problem } = useDecide();
  const { correction } = detail;
  return (
    <Panel title={t("correction")}>
      <Stack gap="sm">
        <Group gap="sm">
          <Text size="sm" fw={correction ? 600 : 400}>
            {correction
              ? t("enabled", { what: strategies.correction(correction, detail.correction_config) })
              : t("none")}
          </Text>
          {correction && mayDecide && (
            <Button
              size="compact-sm"
              variant="default"
              disabled={isDeciding}
              onClick={() => void decide([detail.pattern], { correction: null })}
            >
              {t("disable")}
            </Button>
          )}
        </Group>
        {detail.correction_fault && (
          <Alert color="red" variant="outline" p="xs">
            {t("ignored", { why: detail.correction_fault })}
          </Alert>
        )}
        {mayDecide &&
          (detail.choices.strategies.length > 0 ? (
            <Form
              detail={detail}
              isDeciding={isDeciding}
              onEnable={(strategy, settings) =>
                void decide([detail.pattern], { correction: strategy, correction_config: settings })
              }
            />
          ) : (
            <Text size="sm" c="dimmed">
              {t("never")}
            </Text>
          ))}
        {problem !== null && <Failure error={problem} />}
      </Stack>
    </Panel>
  );
}

type FormProps = {
  detail: ErrorDetail;
  isDeciding: boolean;
  onEnable: (strategy: Strategy, settings: Settings) => void;
};

function Form({ detail, isDeciding, onEnable }: FormProps) {
  const t = usePatternWords();
  const strategies = useStrategies();
  const offered = STRATEGIES.filter((name) => detail.choices.strategies.includes(name));
  const [strategy, setStrategy] = useState<Strategy>(
    offered.find((name) => name === detail.correction) ??
      (offered.includes("fallback") ? "fallback" : (offered[0] ?? "fallback")),
  );
  const isEnabled = detail.correction === strategy && typeof detail.correction_config === "object";
  const [settings, setSettings] = useState<Settings>(
    isEnabled && detail.correction_config ? (detail.correction_config as Settings) : {},
  );
  const set = (change: Settings) => setSettings((now) => ({ ...now, ...change }));
  const number = (
    name: "wait" | "retries" | "max_tokens" | "context_window",
    least: number,
    most: number,
  ) => (
    <NumberInput
      size="xs"
      label={t(name)}
      placeholder={t("optional")}
      min={least}
      max={most}
      hideControls
      value={settings[name] ?? ""}
      onChange={(value) => set({ [name]: value === "" ? undefined : Number(value) })}
    />
  );
  const models = settings.provider ? (detail.choices.providers[settings.provider] ?? []) : [];
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        onEnable(strategy, settings);
      }}
    >
      <Stack gap="xs">
        <SegmentedControl
          size="xs"
          aria-label={t("strategy")}
          value={strategy}
          onChange={(name) => {
            setStrategy(name as Strategy);
            setSettings({});
          }}
          data={offered.map((name) => ({ value: name, label: strategies.strategy(name) }))}
        />
        <SimpleGrid cols={2} spacing="xs">
          {strategy === "fallback" && (
            <>
              <Select
                size="xs"
                label={t("provider")}
                placeholder={t("nextProvider")}
                clearable
                data={Object.keys(detail.choices.providers)}
                value={settings.provider ?? null}
                onChange={(provider) => setSettings({ provider: provider ?? undefined })}
              />
              {models.length > 0 && (
                <Select
                  size="xs"
                  label={t("model")}
                  placeholder={t("usualModel")}
                  clearable
                  searchable
                  data={models}
                  value={settings.model ?? null}
                  onChange={(model) => set({ model: model ?? undefined })}
                />
              )}
            </>
          )}
          {strategy === "retry" && (
            <>
              {number("wait", 0, 3600)}
              {number("retries", 1, 19)}
            </>
          )}
          {strategy === "simplify" && (
            <>
              {number("max_tokens", 1, 10_000_000)}
              {number("context_window", 256, 100_000_000)}
              <TextInput
                size="xs"
                label={t("remove")}
                placeholder={t("removeHint")}
                value={Array.isArray(settings.remove) ? settings.remove.join(", ") : (settings.remove ?? "")}
                onChange={(event) => set({ remove: event.currentTarget.value || undefined })}
              />
            </>
          )}
        </SimpleGrid>
        <Group gap="sm">
          <Button type="submit" size="xs" disabled={isDeciding}>
            {detail.correction ? t("replace") : t("enable")}
          </Button>
          <Text size="xs" c="dimmed">
            {t("obeyed")}
          </Text>
        </Group>
      </Stack>
    </form>
  );
}
