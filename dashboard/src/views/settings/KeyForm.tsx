/** Makes a key, and shows it the one time that it can be seen. */
import { Alert, Button, Code, Group, Modal, Select, Stack, Text, TextInput } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { asProblem, http } from "../../api/client";
import type { KeyMade, Role } from "../../api/schema";
import { Copy } from "../../parts/copy";
import { Failure } from "../../parts/loaded";
import { useCaller } from "../../session/session";
import { useSettingsWords } from "./words";

const ROLES = ["reader", "writer", "admin"] as const satisfies readonly Role[];
const LIFETIMES = [7, 30, 90, 365];
const DAY = 86_400_000;

type Props = { opened: boolean; isFirst: boolean; onClose: () => void; onMade: () => void };

export function KeyForm({ opened, isFirst, onClose, onMade }: Props) {
  const t = useSettingsWords();
  const [made, setMade] = useState<KeyMade>();
  const close = () => {
    setMade(undefined);
    onClose();
  };
  return (
    <Modal
      opened={opened}
      onClose={close}
      title={made ? t("made") : t("makeTitle")}
      closeButtonProps={{ "aria-label": t("cancel") }}
      closeOnClickOutside={!made}
    >
      {made ? (
        <Made made={made} onClose={close} />
      ) : (
        <Form
          isFirst={isFirst}
          onCancel={close}
          onMade={(key) => {
            setMade(key);
            onMade();
          }}
        />
      )}
    </Modal>
  );
}

function Made({ made, onClose }: { made: KeyMade; onClose: () => void }) {
  const t = useSettingsWords();
  return (
    <Stack gap="sm">
      <Text size="sm">{t("madeWhy")}</Text>
      <Code block>{made.key}</Code>
      <Group justify="space-between">
        <Copy text={made.key} label={t("copyKey")} size="xs" />
        <Button size="xs" onClick={onClose}>
          {t("done")}
        </Button>
      </Group>
    </Stack>
  );
}

type FormProps = { isFirst: boolean; onCancel: () => void; onMade: (key: KeyMade) => void };

function Form({ isFirst, onCancel, onMade }: FormProps) {
  const t = useSettingsWords();
  const own = useCaller().tenant_id;
  const [name, setName] = useState("");
  const [role, setRole] = useState<Role>(isFirst ? "admin" : "reader");
  const [tenant, setTenant] = useState(own ?? "");
  const [days, setDays] = useState<string | null>(null);
  const making = useMutation({
    mutationFn: async () => {
      const expires = days && new Date(Date.now() + Number(days) * DAY).toISOString();
      const body = { name: name.trim() || null, role, tenant_id: tenant.trim() || null, expires_at: expires };
      const { data, error } = await http.POST("/api/v1/keys", { body });
      if (!data) throw asProblem(error);
      // Without a key nobody is let in from now on, and so this page would not be either.
      if (isFirst) await http.POST("/api/v1/session", { body: { key: data.key } });
      return data;
    },
    onSuccess: onMade,
  });

  function make(event: FormEvent) {
    event.preventDefault();
    making.mutate();
  }

  return (
    <form onSubmit={make}>
      <Stack gap="sm">
        {isFirst && (
          <Alert color="indigo" variant="outline">
            {t("firstKey")}
          </Alert>
        )}
        <TextInput
          label={t("name")}
          description={t("nameHint")}
          value={name}
          maxLength={100}
          onChange={(event) => setName(event.currentTarget.value)}
          data-autofocus
        />
        <Select
          label={t("role")}
          data={ROLES.map((value) => ({ value, label: t(`role_${value}`) }))}
          value={role}
          onChange={(chosen) => chosen && setRole(chosen as Role)}
          allowDeselect={false}
          disabled={isFirst}
        />
        <TextInput
          label={t("tenant")}
          description={own === null ? t("tenantHint") : undefined}
          value={tenant}
          maxLength={500}
          disabled={own !== null || isFirst}
          onChange={(event) => setTenant(event.currentTarget.value)}
        />
        <Select
          label={t("expires")}
          placeholder={t("never")}
          data={LIFETIMES.map((count) => ({ value: String(count), label: t("days", { count }) }))}
          value={days}
          onChange={setDays}
          clearable
          clearButtonProps={{ "aria-label": t("never") }}
        />
        {making.error && <Failure error={making.error} />}
        <Group justify="flex-end">
          <Button variant="default" onClick={onCancel}>
            {t("cancel")}
          </Button>
          <Button type="submit" loading={making.isPending}>
            {t("create")}
          </Button>
        </Group>
      </Stack>
    </form>
  );
}
