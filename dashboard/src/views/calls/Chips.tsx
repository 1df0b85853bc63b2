/** The filters that are set, each to be taken away, and the words that are searched for. */
import { Button, CloseButton, Group, TextInput } from "@mantine/core";
import { IconSearch } from "@tabler/icons-react";
import { useNavigate } from "@tanstack/react-router";
import { type FormEvent, useEffect, useState } from "react";
import { useFormats } from "../../language/formats";
import classes from "./Chips.module.css";
import { sayStatus } from "./Facets";
import { FILTERS, type Filters } from "./filters";
import { useCallsWords } from "./words";

export function Search({ q }: { q: string | undefined }) {
  const t = useCallsWords();
  const navigate = useNavigate();
  const [words, setWords] = useState(q ?? "");
  useEffect(() => setWords(q ?? ""), [q]);

  function search(event: FormEvent) {
    event.preventDefault();
    const given = words.trim() || undefined;
    void navigate({ to: "/calls", search: (now: object) => ({ ...now, q: given }) as never });
  }

  return (
    <form onSubmit={search} className={classes.search}>
      <TextInput
        type="search"
        size="xs"
        aria-label={t("search")}
        placeholder={t("search")}
        maxLength={200}
        leftSection={<IconSearch size={16} aria-hidden />}
        value={words}
        onChange={(event) => setWords(event.currentTarget.value)}
      />
    </form>
  );
}

export function Chips({ filters }: { filters: Filters }) {
  const t = useCallsWords();
  const formats = useFormats();
  const navigate = useNavigate();
  const set = FILTERS.filter((name) => filters[name] !== undefined);
  if (set.length === 0) return null;
  const without = (names: readonly string[]) =>
    void navigate({
      to: "/calls",
      search: (now: object) =>
        ({ ...now, ...Object.fromEntries(names.map((name) => [name, undefined])) }) as never,
    });
  const said = (name: keyof Filters) => {
    const value = filters[name];
    if (name === "min_ms") return formats.duration(Number(value));
    if (name === "status") return sayStatus(String(value), t);
    return name === "outcome" ? t(value as "failed") : String(value);
  };
  return (
    <Group gap={6} role="group" aria-label={t("filters")}>
      {set.map((name) => (
        <span key={name} className={classes.chip}>
          {t(name)}: <b>{said(name)}</b>
          <CloseButton
            size="xs"
            aria-label={t("remove", { name: t(name) })}
            onClick={() => without([name])}
          />
        </span>
      ))}
      {set.length > 1 && (
        <Button size="compact-xs" variant="subtle" onClick={() => without(set)}>
          {t("clear")}
        </Button>
      )}
    </Group>
  );
}
