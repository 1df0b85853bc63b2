/** What the list can be narrowed to, with how many calls that leaves. */
import { Button, Stack, Text, UnstyledButton } from "@mantine/core";
import { keepPreviousData } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useState } from "react";
import { api } from "../../api/client";
import type { FacetValue } from "../../api/schema";
import { useTenantHeader, useWindow } from "../../app/scope";
import { useFormats } from "../../language/formats";
import { CountedSince } from "../../parts/counted-since";
import { Loaded } from "../../parts/loaded";
import classes from "./Facets.module.css";
import { FACETS, type Filters } from "./filters";
import { useCallsWords } from "./words";

const FEW = 5;

export function Facets({ filters }: { filters: Filters }) {
  const t = useCallsWords();
  const window = useWindow();
  const header = useTenantHeader();
  const navigate = useNavigate();
  const { tenant } = useSearch({ from: "__root__" });
  const query = api.useQuery(
    "get",
    "/api/v1/ai/logs/facets",
    { params: { query: { ...window, ...filters }, header } },
    { placeholderData: keepPreviousData },
  );
  const choose = (name: string, value: string | undefined) =>
    void navigate({ to: "/calls", search: (now: object) => ({ ...now, [name]: value }) as never });
  return (
    <nav aria-label={t("filters")} className={classes.facets}>
      <Loaded query={query} height={240}>
        {(data) => (
          <Stack gap="sm">
            {FACETS.map((name) => (
              <Facet
                key={name}
                title={t(name)}
                values={data[name]}
                chosen={filters[name]}
                say={(value) => (name === "status" ? sayStatus(value, t) : value)}
                onChoose={(value) => choose(name, value)}
              />
            ))}
            {(data.tenant_id.length > 1 || tenant) && (
              <Facet
                title={t("tenant")}
                values={data.tenant_id}
                chosen={tenant}
                onChoose={(value) => choose("tenant", value)}
              />
            )}
            <CountedSince at={data.counted_since} />
          </Stack>
        )}
      </Loaded>
    </nav>
  );
}

/** A status in the reader's language. */
export function sayStatus(status: string, t: ReturnType<typeof useCallsWords>): string {
  if (status === "error") return t("errorStatus");
  return status === "success" || status === "fallback" || status === "timeout" ? t(status) : status;
}

type FacetProps = {
  title: string;
  values: readonly FacetValue[];
  chosen: string | undefined;
  say?: (value: string) => string;
  onChoose: (value: string | undefined) => void;
};

function Facet({ title, values, chosen, say = (value) => value, onChoose }: FacetProps) {
  const t = useCallsWords();
  const formats = useFormats();
  const [isWhole, setWhole] = useState(false);
  const missing = chosen !== undefined && !values.some(({ value }) => value === chosen);
  const offered = missing ? [{ value: chosen, count: 0 }, ...values] : values;
  if (offered.length === 0) return null;
  const shown = isWhole ? offered : offered.filter(({ value }, index) => index < FEW || value === chosen);
  return (
    <section>
      <Text size="xs" fw={600} c="dimmed" mb={2} component="h2">
        {title}
      </Text>
      {shown.map(({ value, count }) => (
        <UnstyledButton
          key={value}
          className={classes.value}
          aria-pressed={value === chosen}
          onClick={() => onChoose(value === chosen ? undefined : value)}
        >
          <span className={classes.name}>{say(value)}</span>
          <span className={classes.count}>{formats.integer(count)}</span>
        </UnstyledButton>
      ))}
      {offered.length > FEW && (
        <Button size="compact-xs" variant="subtle" onClick={() => setWhole(!isWhole)}>
          {isWhole ? t("fewer") : t("more")}
        </Button>
      )}
    </section>
  );
}
