/** A range from one moment to another, chosen from calendars. */
import { Button, Stack } from "@mantine/core";
import { DatesProvider, DateTimePicker } from "@mantine/dates";
import "@mantine/dates/styles.css";
import dayjs from "dayjs";
import "dayjs/locale/es";
import utc from "dayjs/plugin/utc";
import { useState } from "react";
import { useLanguage, words } from "../language/words";
import { between } from "./range";
import { useZone } from "./zone";

dayjs.extend(utc);

const useWords = words(
  "custom-range",
  { from: "From", to: "To", apply: "Show this range", order: "It has to end after it begins" },
  { from: "Desde", to: "Hasta", apply: "Mostrar este periodo", order: "Tiene que acabar después de empezar" },
);
const WALL = "YYYY-MM-DD HH:mm:ss";

type Props = { since: string; until?: string; onChoose: (range: string) => void };

export default function CustomRange({ since, until, onChoose }: Props) {
  const t = useWords();
  const language = useLanguage();
  const { zone } = useZone();
  // The pickers know no zones: they are given, and give, what a clock on the wall shows.
  const read = (wall: string) => (zone === "utc" ? dayjs.utc(wall, WALL) : dayjs(wall, WALL)).toDate();
  const write = (moment: string | undefined) =>
    (zone === "utc" ? dayjs.utc(moment) : dayjs(moment)).format(WALL);
  const [from, setFrom] = useState<string | null>(write(since));
  const [to, setTo] = useState<string | null>(write(until));
  const isOrdered = from !== null && to !== null && read(from) < read(to);
  return (
    <DatesProvider settings={{ locale: language, firstDayOfWeek: 1 }}>
      <Stack gap="xs">
        <DateTimePicker
          label={t("from")}
          value={from}
          onChange={setFrom}
          valueFormat="D MMM YYYY, HH:mm"
          popoverProps={{ withinPortal: false }}
        />
        <DateTimePicker
          label={t("to")}
          value={to}
          onChange={setTo}
          valueFormat="D MMM YYYY, HH:mm"
          error={isOrdered ? undefined : t("order")}
          popoverProps={{ withinPortal: false }}
        />
        <Button
          size="compact-sm"
          disabled={!isOrdered}
          onClick={() => from && to && onChoose(between(read(from), read(to)))}
        >
          {t("apply")}
        </Button>
      </Stack>
    </DatesProvider>
  );
}
