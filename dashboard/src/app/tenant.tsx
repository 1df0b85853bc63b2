/** Which tenant is looked at, for those who see all of them. */
import { Select } from "@mantine/core";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useState } from "react";
import { api } from "../api/client";
import classes from "./tenant.module.css";
import { useAppWords } from "./words";

/** The hours whose tenants are offered. */
const HOURS = 24 * 30;

export function TenantChoice() {
  const t = useAppWords();
  const { tenant } = useSearch({ from: "__root__" });
  const navigate = useNavigate();
  const [wasOpened, setOpened] = useState(false);
  const query = api.useQuery(
    "get",
    "/api/v1/ai/logs/statistics",
    { params: { query: { hours: HOURS, group_by: "tenant" } } },
    { enabled: wasOpened, staleTime: 60_000 },
  );
  const met = query.data?.groups.flatMap((group) => group.value ?? []) ?? [];
  const offered = [...new Set(tenant ? [tenant, ...met] : met)];
  return (
    <Select
      className={classes.choice}
      size="xs"
      aria-label={t("tenant")}
      placeholder={t("allTenants")}
      data={offered}
      value={tenant ?? null}
      onChange={(chosen) =>
        void navigate({
          to: ".",
          search: (now: object) => ({ ...now, tenant: chosen ?? undefined }) as never,
        })
      }
      onDropdownOpen={() => setOpened(true)}
      searchable
      clearable
      clearButtonProps={{ "aria-label": t("allTenants") }}
      comboboxProps={{ width: 220, position: "bottom-end" }}
    />
  );
}
