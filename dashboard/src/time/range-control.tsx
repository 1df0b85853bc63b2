/** Chooses the time that a view shows. */
import { Button, Group, Popover, Stack, Text } from "@mantine/core";
import { IconCalendar, IconChevronDown } from "@tabler/icons-react";
import { lazy, Suspense, useState } from "react";
import { useRange } from "../app/scope";
import { useFormats } from "../language/formats";
import { words } from "../language/words";
import { Waiting } from "../parts/loaded";
import { DEFAULT, isPreset, PRESETS, type Preset, windowOf } from "./range";

const useWords = words(
  "range",
  {
    "15m": "Last 15 minutes",
    "1h": "Last hour",
    "6h": "Last 6 hours",
    "24h": "Last 24 hours",
    "7d": "Last 7 days",
    "30d": "Last 30 days",
    range: "Time range",
    zone: "Times are {{zone}}",
  },
  {
    "15m": "Últimos 15 minutos",
    "1h": "Última hora",
    "6h": "Últimas 6 horas",
    "24h": "Últimas 24 horas",
    "7d": "Últimos 7 días",
    "30d": "Últimos 30 días",
    range: "Periodo",
    zone: "Horas de {{zone}}",
  },
);

// The calendar is a third of the component library, and few need it.
const CustomRange = lazy(() => import("./custom-range"));

export function RangeControl() {
  const t = useWords();
  const formats = useFormats();
  const { range, setRange } = useRange();
  const [opened, setOpened] = useState(false);
  const window = windowOf(range, Date.now());
  const preset: Preset | undefined = window.until ? undefined : range && isPreset(range) ? range : DEFAULT;
  const label = preset ? t(preset) : `${formats.short(window.since)} – ${formats.short(window.until)}`;

  function choose(chosen: string) {
    setRange(chosen === DEFAULT ? undefined : chosen);
    setOpened(false);
  }

  return (
    <Popover opened={opened} onChange={setOpened} position="bottom-end" trapFocus returnFocus>
      <Popover.Target>
        <Button
          variant="default"
          size="xs"
          leftSection={<IconCalendar size={16} aria-hidden />}
          rightSection={<IconChevronDown size={14} aria-hidden />}
          onClick={() => setOpened(!opened)}
          aria-label={`${t("range")}: ${label}`}
        >
          {label}
        </Button>
      </Popover.Target>
      <Popover.Dropdown aria-label={t("range")}>
        <Stack gap="sm" w={300}>
          <Group gap={6} grow wrap="wrap" preventGrowOverflow={false}>
            {Object.keys(PRESETS).map((name) => (
              <Button
                key={name}
                size="compact-sm"
                variant={name === preset ? "filled" : "default"}
                aria-pressed={name === preset}
                onClick={() => choose(name)}
              >
                {t(name as Preset)}
              </Button>
            ))}
          </Group>
          <Suspense fallback={<Waiting height={140} />}>
            <CustomRange since={window.since} until={window.until} onChoose={choose} />
          </Suspense>
          <Text size="xs" c="dimmed">
            {t("zone", { zone: formats.zone })}
          </Text>
        </Stack>
      </Popover.Dropdown>
    </Popover>
  );
}
