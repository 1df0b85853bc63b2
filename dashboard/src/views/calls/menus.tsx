/** Which columns the table has, and views that were kept under a name. */
import { ActionIcon, Button, Checkbox, Group, Popover, Stack, Text, TextInput } from "@mantine/core";
import { useLocalStorage } from "@mantine/hooks";
import { IconBookmark, IconColumns, IconTrash } from "@tabler/icons-react";
import { useNavigate } from "@tanstack/react-router";
import { type FormEvent, useState } from "react";
import { useCaller } from "../../session/session";
import { COLUMNS, type ColumnName, columnsOf, namedColumns } from "./columns";
import { calls } from "./route";
import { useCallsWords } from "./words";

export function ColumnsMenu() {
  const t = useCallsWords();
  const { columns } = calls.useSearch();
  const seesAll = useCaller().tenant_id === null;
  const navigate = useNavigate();
  const shown = columnsOf(columns, seesAll).map((column) => column.name);
  const offered = COLUMNS.filter((name) => seesAll || name !== "tenant");
  const choose = (names: string[]) =>
    void navigate({
      to: "/calls",
      search: (now: object) => ({ ...now, columns: namedColumns(names as ColumnName[]) }) as never,
    });
  return (
    <Popover position="bottom-end" trapFocus returnFocus>
      <Popover.Target>
        <Button variant="default" size="xs" leftSection={<IconColumns size={16} aria-hidden />}>
          {t("columns")}
        </Button>
      </Popover.Target>
      <Popover.Dropdown aria-label={t("columns")}>
        <Checkbox.Group value={shown} onChange={choose} aria-label={t("columns")}>
          <Stack gap={6}>
            {offered.map((name) => (
              <Checkbox key={name} value={name} label={t(name)} size="xs" />
            ))}
          </Stack>
        </Checkbox.Group>
      </Popover.Dropdown>
    </Popover>
  );
}

type Saved = { name: string; search: string };

export function SavedViews() {
  const t = useCallsWords();
  const navigate = useNavigate();
  const [name, setName] = useState("");
  const [saved, setSaved] = useLocalStorage<Saved[]>({ key: "cajanegra.views", defaultValue: [] });

  function save(event: FormEvent) {
    event.preventDefault();
    const kept = saved.filter((one) => one.name !== name.trim());
    setSaved([...kept, { name: name.trim(), search: location.search }]);
    setName("");
  }

  const open = (search: string) =>
    void navigate({ to: "/calls", search: Object.fromEntries(new URLSearchParams(search)) as never });
  return (
    <Popover position="bottom-end" width={300} trapFocus returnFocus>
      <Popover.Target>
        <Button variant="default" size="xs" leftSection={<IconBookmark size={16} aria-hidden />}>
          {t("saved")}
        </Button>
      </Popover.Target>
      <Popover.Dropdown aria-label={t("saved")}>
        <Stack gap="xs">
          {saved.length === 0 && (
            <Text size="xs" c="dimmed">
              {t("noneSaved")}
            </Text>
          )}
          {saved.map((one) => (
            <Group key={one.name} gap={4} wrap="nowrap" justify="space-between">
              <Button size="compact-sm" variant="subtle" onClick={() => open(one.search)}>
                {one.name}
              </Button>
              <ActionIcon
                variant="subtle"
                color="gray"
                aria-label={t("delete", { name: one.name })}
                onClick={() => setSaved(saved.filter((other) => other !== one))}
              >
                <IconTrash size={16} aria-hidden />
              </ActionIcon>
            </Group>
          ))}
          <form onSubmit={save}>
            <Group gap={6} wrap="nowrap">
              <TextInput
                size="xs"
                flex={1}
                aria-label={t("name")}
                placeholder={t("name")}
                value={name}
                maxLength={60}
                onChange={(event) => setName(event.currentTarget.value)}
              />
              <Button size="xs" type="submit" disabled={name.trim() === ""}>
                {t("save")}
              </Button>
            </Group>
          </form>
        </Stack>
      </Popover.Dropdown>
    </Popover>
  );
}
