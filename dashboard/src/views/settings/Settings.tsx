/** What admins see: the keys, and the settings that are in force. */
import { Code, Table, Text } from "@mantine/core";
import { api } from "../../api/client";
import type { SettingTold } from "../../api/schema";
import { type Formats, useFormats } from "../../language/formats";
import { Badge } from "../../parts/badge";
import { Empty, Loaded } from "../../parts/loaded";
import { Panel } from "../../parts/panel";
import { ScrolledTable } from "../../parts/scrolled";
import { View } from "../../parts/view";
import { useCaller } from "../../session/session";
import { Keys } from "./Keys";
import classes from "./Settings.module.css";
import { useSettingsWords } from "./words";

export function Settings() {
  const t = useSettingsWords();
  const caller = useCaller();
  const isAdmin = caller.role === "admin";
  return (
    <View title={t("title")}>
      {isAdmin ? (
        <>
          <Keys />
          {caller.tenant_id === null && <InForce />}
        </>
      ) : (
        <Empty title={t("denied")}>{t("deniedWhy")}</Empty>
      )}
    </View>
  );
}

function InForce() {
  const t = useSettingsWords();
  const query = api.useQuery("get", "/api/v1/settings");
  return (
    <Panel title={t("settings")} note={t("masked")}>
      <Loaded query={query} height={320}>
        {(data) => (
          <>
            <Text size="sm" c="dimmed" mb="xs">
              {t("version", { version: data.version })},{" "}
              {data.file ? t("file", { file: data.file }) : t("noFile")}
            </Text>
            <ScrolledTable label={t("settings")} minWidth={560} wraps verticalSpacing={4}>
              <Table.Thead>
                <Table.Tr>
                  <Table.Th w={260}>{t("setting")}</Table.Th>
                  <Table.Th>{t("value")}</Table.Th>
                </Table.Tr>
              </Table.Thead>
              <Table.Tbody>
                {data.items.map((one) => (
                  <Table.Tr key={`${one.section}.${one.name}`}>
                    <Table.Th scope="row" fw={400} className={classes.name}>
                      <Code>
                        {one.section}.{one.name}
                      </Code>
                    </Table.Th>
                    <Table.Td>
                      <Value setting={one} />
                    </Table.Td>
                  </Table.Tr>
                ))}
              </Table.Tbody>
            </ScrolledTable>
          </>
        )}
      </Loaded>
    </Panel>
  );
}

function Value({ setting }: { setting: SettingTold }) {
  const t = useSettingsWords();
  const f = useFormats();
  const { value } = setting;
  const isWide = Array.isArray(value) ? value.some((one) => typeof one === "object") : isFilled(value);
  return (
    <div className={classes.value}>
      {isWide ? (
        <Code block>{JSON.stringify(value, null, 2)}</Code>
      ) : (
        <span>{measured(setting, f) ?? written(value)}</span>
      )}
      {setting.is_default && <Badge>{t("isDefault")}</Badge>}
    </div>
  );
}

/** In milliseconds, by how a setting's name ends. */
const UNITS: [ending: string, length: number][] = [
  ["timeout", 1000],
  ["retention.every", 1000],
  ["retention.budget", 1000],
  ["alerts.interval", 1000],
  ["alerts.cooldown", 1000],
  ["_hours", 3_600_000],
  ["_days", 86_400_000],
];

/** A time or an amount of bytes with its unit; nothing for other settings. */
function measured({ section, name, value }: SettingTold, f: Formats): string | undefined {
  if (typeof value !== "number") return undefined;
  if (name.endsWith("_bytes")) return f.bytes(value);
  const unit = UNITS.find(([ending]) => `${section}.${name}`.endsWith(ending));
  return unit && f.duration(value * unit[1]);
}

function isFilled(value: unknown): boolean {
  return typeof value === "object" && value !== null && Object.keys(value).length > 0;
}

function written(value: unknown): string {
  if (value === null || value === "" || (typeof value === "object" && !isFilled(value))) return "–";
  if (Array.isArray(value)) return value.join(", ");
  return typeof value === "string" ? value : JSON.stringify(value);
}
