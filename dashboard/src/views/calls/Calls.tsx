/** Calls as a table that can be narrowed, searched, kept, and followed while they are made. */
import { Button, Group, Switch, Text } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconFilter, IconPlayerPause, IconPlayerPlay } from "@tabler/icons-react";
import { useNavigate } from "@tanstack/react-router";
import { useCallback, useEffect, useMemo, useRef } from "react";
import { useFormats } from "../../language/formats";
import { Empty, Failure, Waiting } from "../../parts/loaded";
import { View } from "../../parts/view";
import { useCaller } from "../../session/session";
import { useNow } from "../../time/now";
import { RangeControl } from "../../time/range-control";
import classes from "./Calls.module.css";
import { Chips, Search } from "./Chips";
import { columnsOf } from "./columns";
import { Facets } from "./Facets";
import { type Filters, filtersOf } from "./filters";
import { type Tail, useCallList, useTail } from "./list";
import { ColumnsMenu, SavedViews } from "./menus";
import { calls } from "./route";
import { Table } from "./Table";
import { useCallsWords } from "./words";

export function Calls() {
  const t = useCallsWords();
  const search = calls.useSearch();
  const navigate = useNavigate();
  const [hasFacets, { toggle }] = useDisclosure(false);
  const key = JSON.stringify(filtersOf(search));
  const filters = useMemo(() => JSON.parse(key) as Filters, [key]);
  const isLive = search.live === "on";
  const setLive = (on: boolean) =>
    void navigate({
      to: "/calls",
      search: (now: object) => ({ ...now, live: on ? "on" : undefined }) as never,
    });
  return (
    <div className={classes.view}>
      <View title={t("title")} actions={isLive ? null : <RangeControl />}>
        <Group gap="xs">
          <Search q={filters.q} />
          <Button
            variant="default"
            size="xs"
            className={classes.toggle}
            leftSection={<IconFilter size={16} aria-hidden />}
            aria-expanded={hasFacets}
            onClick={toggle}
          >
            {t("filters")}
          </Button>
          <Switch
            size="sm"
            label={t("live")}
            aria-description={t("follow")}
            checked={isLive}
            onChange={(event) => setLive(event.currentTarget.checked)}
          />
          <Group gap="xs" ml="auto">
            <SavedViews />
            <ColumnsMenu />
          </Group>
        </Group>
        <Chips filters={filters} />
        <div className={classes.body}>
          <div className={classes.facets} data-open={hasFacets || undefined}>
            <Facets filters={filters} />
          </div>
          <div className={classes.list}>
            {isLive ? <LiveList filters={filters} /> : <PagedList key={key} filters={filters} />}
          </div>
        </div>
      </View>
    </div>
  );
}

function useColumns() {
  const { columns } = calls.useSearch();
  const seesAll = useCaller().tenant_id === null;
  return useMemo(() => columnsOf(columns, seesAll), [columns, seesAll]);
}

function PagedList({ filters }: { filters: Filters }) {
  const t = useCallsWords();
  const formats = useFormats();
  const columns = useColumns();
  const { now } = useNow();
  const list = useCallList(filters);
  const { data, error, hasNextPage, isFetching, fetchNextPage, fetchPreviousPage } = list;
  const rows = useMemo(() => data?.pages.flatMap((page) => page.rows) ?? [], [data]);
  const isTop = useRef(true);

  const onEnd = useCallback(() => {
    if (hasNextPage && !isFetching && !error) void fetchNextPage();
  }, [hasNextPage, isFetching, error, fetchNextPage]);
  const onTop = useCallback((top: boolean) => {
    isTop.current = top;
  }, []);
  // biome-ignore lint/correctness/useExhaustiveDependencies: newer calls are looked for as time goes on
  useEffect(() => {
    if (isTop.current && data && !isFetching) void fetchPreviousPage();
  }, [now]);

  if (error) return <Failure error={error} again={() => void list.refetch()} />;
  if (!data) return <Waiting height={320} />;
  if (rows.length === 0 && !hasNextPage) return <Empty title={t("empty")}>{t("emptyWhy")}</Empty>;
  return (
    <>
      <Table rows={rows} columns={columns} filters={filters} onEnd={onEnd} onTop={onTop} />
      <Text size="xs" c="dimmed" role="status">
        {hasNextPage
          ? `${t("shown", { n: formats.integer(rows.length) })}${isFetching ? ` · ${t(rows.length > 0 ? "loadingMore" : "searching")}` : ""}`
          : t("all", { n: formats.integer(rows.length) })}
      </Text>
    </>
  );
}

function LiveList({ filters }: { filters: Filters }) {
  const t = useCallsWords();
  const columns = useColumns();
  const tail = useTail(filters, true);
  return (
    <>
      <Table rows={tail.rows} columns={columns} filters={filters} />
      <Group gap="sm" mih={28}>
        <Button
          size="compact-sm"
          variant="default"
          leftSection={
            tail.isPaused ? (
              <IconPlayerPlay size={14} aria-hidden />
            ) : (
              <IconPlayerPause size={14} aria-hidden />
            )
          }
          onClick={() => tail.setPaused(!tail.isPaused)}
        >
          {tail.isPaused ? t("resume") : t("pause")}
        </Button>
        <TailState tail={tail} />
      </Group>
    </>
  );
}

function TailState({ tail }: { tail: Tail }) {
  const t = useCallsWords();
  const formats = useFormats();
  const state = tail.isPaused
    ? t("waiting", { count: tail.waiting, n: formats.integer(tail.waiting) })
    : t("following", { n: formats.integer(tail.received) });
  return (
    <>
      <Text size="xs" c="dimmed">
        {tail.isCut ? t("interrupted") : state}
      </Text>
      {tail.hasGap && (
        <Text size="xs" role="alert">
          {t("gap")}
        </Text>
      )}
    </>
  );
}
