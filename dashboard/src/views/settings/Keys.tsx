/** The keys: which there are, and how they are made and revoked. */
import { Button, Group, Modal, Switch, Table, Text } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconKey } from "@tabler/icons-react";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { api, asProblem, http } from "../../api/client";
import type { KeyListed } from "../../api/schema";
import { type Formats, useFormats } from "../../language/formats";
import { Badge, type Tone } from "../../parts/badge";
import { Empty, Failure, Loaded } from "../../parts/loaded";
import { Panel } from "../../parts/panel";
import { ScrolledTable } from "../../parts/scrolled";
import { KeyForm } from "./KeyForm";
import { settings } from "./route";
import classes from "./Settings.module.css";
import { useSettingsWords } from "./words";

const KEYS = "/api/v1/keys";
type Words = ReturnType<typeof useSettingsWords>;

export function Keys() {
  const t = useSettingsWords();
  const { show } = settings.useSearch();
  const navigate = useNavigate({ from: "/settings" });
  const client = useQueryClient();
  const [isMaking, { open, close }] = useDisclosure();
  const [revoking, setRevoking] = useState<KeyListed | null>(null);
  const query = api.useQuery("get", KEYS, { params: { query: { invalid: show === "all" } } });
  const refresh = () => void client.invalidateQueries({ queryKey: ["get", KEYS] });
  return (
    <Panel
      title={t("keys")}
      actions={
        <Group gap="md">
          <Switch
            size="xs"
            label={t("showAll")}
            checked={show === "all"}
            onChange={(event) =>
              void navigate({
                search: (now) => ({ ...now, show: event.currentTarget.checked ? "all" : undefined }),
              })
            }
          />
          <Button size="xs" leftSection={<IconKey size={16} aria-hidden />} onClick={open}>
            {t("make")}
          </Button>
        </Group>
      }
    >
      <Loaded
        query={query}
        isEmpty={(data) => data.items.length === 0}
        empty={<Empty title={t("none")}>{t("noneWhy")}</Empty>}
      >
        {(data) => <Listed keys={data.items} onRevoke={setRevoking} />}
      </Loaded>
      <KeyForm opened={isMaking} isFirst={query.data?.items.length === 0} onClose={close} onMade={refresh} />
      <Revoking of={revoking} onClose={() => setRevoking(null)} onRevoked={refresh} />
    </Panel>
  );
}

function Listed({ keys, onRevoke }: { keys: KeyListed[]; onRevoke: (key: KeyListed) => void }) {
  const t = useSettingsWords();
  const formats = useFormats();
  return (
    <ScrolledTable label={t("keys")} minWidth={860} wraps>
      <Table.Thead>
        <Table.Tr>
          {(
            ["key", "name", "role", "tenant", "limits", "state", "lastUsed", "expires", "actions"] as const
          ).map((name) => (
            <Table.Th key={name}>{t(name)}</Table.Th>
          ))}
        </Table.Tr>
      </Table.Thead>
      <Table.Tbody>
        {keys.map((key) => {
          const [state, tone] = stateOf(key);
          return (
            <Table.Tr key={key.prefix}>
              <Table.Th scope="row" className={classes.key}>
                {key.prefix}
              </Table.Th>
              <Table.Td>{key.name ?? "–"}</Table.Td>
              <Table.Td>{t(key.role)}</Table.Td>
              <Table.Td>{key.tenant_id ?? t("allTenants")}</Table.Td>
              <Table.Td>{limitsOf(key, t, formats)}</Table.Td>
              <Table.Td>
                <Badge tone={tone}>{t(state)}</Badge>
              </Table.Td>
              <Table.Td>{key.last_used_at ? formats.ago(key.last_used_at) : t("never")}</Table.Td>
              <Table.Td>{key.expires_at ? formats.short(key.expires_at) : t("never")}</Table.Td>
              <Table.Td>
                {state === "valid" && (
                  <Button
                    size="compact-xs"
                    variant="default"
                    aria-label={t("revokeOf", { key: key.prefix })}
                    onClick={() => onRevoke(key)}
                  >
                    {t("revoke")}
                  </Button>
                )}
              </Table.Td>
            </Table.Tr>
          );
        })}
      </Table.Tbody>
    </ScrolledTable>
  );
}

function stateOf(key: KeyListed): ["valid" | "expired" | "revoked", Tone] {
  if (key.revoked_at) return ["revoked", "failed"];
  return key.expires_at && Date.parse(key.expires_at) <= Date.now() ? ["expired", "quiet"] : ["valid", "ok"];
}

function limitsOf({ limits }: KeyListed, t: Words, formats: Formats): string {
  if (!limits) return "–";
  const said = [...(limits.models ?? [])];
  if (limits.requests_per_minute)
    said.push(t("perMinute", { n: formats.integer(limits.requests_per_minute) }));
  if (limits.tokens_per_minute)
    said.push(t("tokensPerMinute", { n: formats.compact(limits.tokens_per_minute) }));
  if (limits.monthly_budget) said.push(t("budget", { amount: formats.money(limits.monthly_budget, "USD") }));
  return said.join(", ") || "–";
}

function Revoking({
  of,
  onClose,
  onRevoked,
}: {
  of: KeyListed | null;
  onClose: () => void;
  onRevoked: () => void;
}) {
  const t = useSettingsWords();
  const revoking = useMutation({
    mutationFn: async (prefix: string) => {
      const { error } = await http.DELETE("/api/v1/keys/{prefix}", { params: { path: { prefix } } });
      if (error) throw asProblem(error);
    },
    onSuccess: () => {
      onRevoked();
      onClose();
    },
  });
  return (
    <Modal
      opened={of !== null}
      onClose={onClose}
      title={of && t("revokeSure", { key: of.prefix })}
      closeButtonProps={{ "aria-label": t("cancel") }}
    >
      <Text size="sm">{t("revokeWhy")}</Text>
      {revoking.error && <Failure error={revoking.error} />}
      <Group justify="flex-end" mt="md">
        <Button variant="default" onClick={onClose} data-autofocus>
          {t("cancel")}
        </Button>
        <Button color="red.8" loading={revoking.isPending} onClick={() => of && revoking.mutate(of.prefix)}>
          {t("revoke")}
        </Button>
      </Group>
    </Modal>
  );
}
