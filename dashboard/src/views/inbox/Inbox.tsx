/** What fails and why: error patterns by what was decided about them, to be worked through by keyboard. */
import { Alert, Button, CloseButton, Group, Kbd, Select, Tabs, Text, TextInput } from "@mantine/core";
import { useDebouncedCallback } from "@mantine/hooks";
import { IconSearch } from "@tabler/icons-react";
import { keepPreviousData } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { api } from "../../api/client";
import { useTenantHeader } from "../../app/scope";
import { useFormats } from "../../language/formats";
import { useLanguage } from "../../language/words";
import { Empty, Failure, Loaded } from "../../parts/loaded";
import { View } from "../../parts/view";
import { useFollow } from "../../time/follow";
import { type Decision, useDecide } from "../pattern/decide";
import classes from "./inbox.module.css";
import { PatternTable } from "./PatternTable";
import { type InboxSearch, inbox, MARKS, SORTS, STATUSES } from "./route";
import { useInboxWords } from "./words";

const PAGE = 50;
const TYPING = 300;

export function Inbox() {
  const t = useInboxWords();
  const formats = useFormats();
  const search = inbox.useSearch();
  const { status = "open", sort = "trend" } = search;
  const navigate = useNavigate({ from: "/errors" });
  const lang = useLanguage();
  const header = useTenantHeader();
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const { decide, mayDecide, isDeciding, problem } = useDecide();
  const [told, setTold] = useState("");
  const query = api.useQuery(
    "get",
    "/api/v1/ai/logs/errors",
    {
      params: {
        query: {
          status: status === "all" ? undefined : status,
          mark: search.mark,
          kind: search.kind,
          provider: search.provider,
          text: search.q,
          sort,
          lang,
          limit: PAGE,
          cursor: search.cursor,
        },
        header,
      },
    },
    { placeholderData: keepPreviousData },
  );
  useFollow(query);

  /** Another list: it begins at its first page, and nothing of it is chosen. */
  function show(change: Partial<InboxSearch>) {
    setChosen(new Set());
    void navigate({ search: (now) => ({ ...now, cursor: undefined, ...change }) });
  }
  const type = useDebouncedCallback((words: string) => show({ q: words || undefined }), TYPING);

  async function settle(names: readonly string[], decision: NonNullable<Decision["status"]>) {
    if (names.length === 0 || !(await decide(names, { status: decision }))) return;
    setChosen(new Set());
    setTold(t("done", { count: names.length, status: t(decision) }));
  }

  const total = Object.values(query.data?.by_status ?? {}).reduce((sum, count) => sum + count, 0);
  const count = (name: string) => (name === "all" ? total : (query.data?.by_status[name] ?? 0));
  return (
    <View title={t("title")}>
      <Tabs
        value={status}
        onChange={(name) => show({ status: name === "open" ? undefined : (name as "all") })}
      >
        <Tabs.List aria-label={t("status")} className={classes.tabs}>
          {STATUSES.map((name) => (
            <Tabs.Tab key={name} value={name} aria-controls="patterns">
              {t(name)} {query.data && <span className={classes.tally}>{formats.integer(count(name))}</span>}
            </Tabs.Tab>
          ))}
        </Tabs.List>
      </Tabs>
      <Group gap="xs" className={classes.controls}>
        <TextInput
          size="xs"
          w={220}
          leftSection={<IconSearch size={14} aria-hidden />}
          aria-label={t("search")}
          placeholder={t("searchHint")}
          defaultValue={search.q}
          maxLength={200}
          onChange={(event) => type(event.currentTarget.value)}
        />
        <Select
          size="xs"
          w={150}
          aria-label={t("mark")}
          placeholder={t("anyMark")}
          clearable
          data={MARKS.map((name) => ({ value: name, label: t(name) }))}
          value={search.mark ?? null}
          onChange={(name) => show({ mark: (name as InboxSearch["mark"]) ?? undefined })}
        />
        <Select
          size="xs"
          w={170}
          aria-label={t("sort")}
          allowDeselect={false}
          data={SORTS.map((name) => ({ value: name, label: t(name) }))}
          value={sort}
          onChange={(name) => show({ sort: name === "trend" ? undefined : (name as InboxSearch["sort"]) })}
        />
        {(["kind", "provider"] as const).map(
          (name) =>
            search[name] && (
              <Group key={name} gap={2} className={classes.filter}>
                <code>{search[name]}</code>
                <CloseButton
                  size="xs"
                  aria-label={t("clear", { name: search[name] })}
                  onClick={() => show({ [name]: undefined })}
                />
              </Group>
            ),
        )}
      </Group>
      {problem !== null && <Failure error={problem} />}
      <Alert variant="light" p={0} className={classes.told} role="status">
        {told}
      </Alert>
      {mayDecide && (
        <Group gap="xs" mih={30} className={classes.deciding}>
          <Text size="sm">{t("selected", { count: chosen.size })}</Text>
          {(["resolved", "wontfix", "open"] as const)
            .filter((name) => name !== status)
            .map((name) => (
              <Button
                key={name}
                size="compact-sm"
                variant="default"
                disabled={chosen.size === 0 || isDeciding}
                onClick={() => void settle([...chosen], name)}
              >
                {name === "resolved" ? t("resolve") : name === "open" ? t("reopen") : t("giveUp")}
              </Button>
            ))}
          <Keys />
        </Group>
      )}
      <div id="patterns" role="tabpanel" aria-label={t(status)}>
        <Loaded
          query={query}
          height={320}
          isEmpty={(data) => data.items.length === 0}
          empty={
            <Empty title={t("empty")}>
              {status === "open" && !search.q && !search.mark ? t("emptyOpen") : t("emptyOther")}
            </Empty>
          }
        >
          {(data) => (
            <PatternTable
              patterns={data.items}
              showsStatus={status === "all"}
              chosen={mayDecide ? chosen : undefined}
              onChoose={setChosen}
              onDecide={(names, decision) => void settle(names, decision)}
              showsTenants={header["X-Cajanegra-Tenant"] === undefined}
            />
          )}
        </Loaded>
      </div>
      <Group justify="center" gap="xs">
        {search.cursor && (
          <Button variant="default" size="xs" onClick={() => show({ cursor: undefined })}>
            {t("firstPage")}
          </Button>
        )}
        {query.data?.next_cursor && (
          <Button
            variant="default"
            size="xs"
            onClick={() => show({ cursor: query.data?.next_cursor ?? undefined })}
          >
            {t("nextPage")}
          </Button>
        )}
      </Group>
    </View>
  );
}

/** What the keys do while the focus is in the list. */
function Keys() {
  const t = useInboxWords();
  const keys = [
    ["J K", t("keyMove")],
    ["X", t("keySelect")],
    ["A", t("keyAll")],
    ["R", t("keyResolve")],
    ["W", t("keyWontfix")],
    ["O", t("keyReopen")],
  ] as const;
  return (
    <Group gap="sm" ml="auto" visibleFrom="sm" className={classes.keys}>
      <span>{t("keys")}:</span>
      {keys.map(([key, what]) => (
        <span key={key}>
          <Kbd size="xs">{key}</Kbd> {what}
        </span>
      ))}
    </Group>
  );
}
