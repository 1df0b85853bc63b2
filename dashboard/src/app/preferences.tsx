/** What each reader chooses for their own browser: language, theme, time zone. */
import { ActionIcon, Popover, Radio, Stack, useMantineColorScheme } from "@mantine/core";
import { IconLanguage } from "@tabler/icons-react";
import { useFormats } from "../language/formats";
import { LANGUAGES, type Language, speak, useLanguage } from "../language/words";
import { useZone, type Zone } from "../time/zone";
import { useAppWords } from "./words";

export function Preferences() {
  const t = useAppWords();
  const language = useLanguage();
  const { zone, setZone } = useZone();
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  return (
    <Popover position="bottom-end" trapFocus returnFocus>
      <Popover.Target>
        <ActionIcon variant="subtle" color="gray" size="lg" aria-label={t("preferences")}>
          <IconLanguage size={20} aria-hidden />
        </ActionIcon>
      </Popover.Target>
      <Popover.Dropdown aria-label={t("preferences")}>
        <Stack gap="sm">
          <Choice
            label={t("language")}
            value={language}
            options={LANGUAGES}
            onChoose={(code) => speak(code as Language)}
          />
          <Choice
            label={t("theme")}
            value={colorScheme}
            options={{ auto: t("system"), light: t("light"), dark: t("dark") }}
            onChoose={(scheme) => setColorScheme(scheme as typeof colorScheme)}
          />
          <Choice
            label={t("zone")}
            value={zone}
            options={{ local: t("local"), utc: "UTC" }}
            onChoose={(chosen) => setZone(chosen as Zone)}
          />
        </Stack>
      </Popover.Dropdown>
    </Popover>
  );
}

type ChoiceProps = {
  label: string;
  value: string;
  /** What can be chosen, and how it is called. */
  options: Record<string, string>;
  onChoose: (value: string) => void;
};

function Choice({ label, value, options, onChoose }: ChoiceProps) {
  return (
    <Radio.Group label={label} value={value} onChange={onChoose} size="xs">
      <Stack gap={4} mt={4}>
        {Object.entries(options).map(([name, called]) => (
          <Radio key={name} value={name} label={called} size="xs" />
        ))}
      </Stack>
    </Radio.Group>
  );
}

/** The time zone that the times on the page are told in. */
export function ZoneNote() {
  const { zone } = useFormats();
  return <>{zone}</>;
}
