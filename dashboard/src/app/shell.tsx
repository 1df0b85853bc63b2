/** What stands around every view: the navigation, whose calls are shown, and who looks. */
import {
  ActionIcon,
  Anchor,
  AppShell,
  Burger,
  Button,
  Group,
  NavLink,
  Popover,
  ScrollArea,
  Stack,
  Text,
} from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import {
  IconActivityHeartbeat,
  IconAlertOctagon,
  IconCoins,
  IconKey,
  IconLayoutDashboard,
  IconList,
  IconRefresh,
  IconRoute,
  IconUser,
} from "@tabler/icons-react";
import { useQueryClient } from "@tanstack/react-query";
import { Link, Outlet, useRouterState } from "@tanstack/react-router";
import { useEffect } from "react";
import { http } from "../api/client";
import { Mark } from "../parts/mark";
import { KEYLESS, Session, useCaller } from "../session/session";
import { useNow } from "../time/now";
import { Preferences, ZoneNote } from "./preferences";
import classes from "./shell.module.css";
import { TenantChoice } from "./tenant";
import { useAppWords } from "./words";

const VIEWS = [
  { to: "/", name: "overview", Icon: IconLayoutDashboard, admin: false },
  { to: "/calls", name: "calls", Icon: IconList, admin: false },
  { to: "/errors", name: "inbox", Icon: IconAlertOctagon, admin: false },
  { to: "/recovery", name: "recovery", Icon: IconRoute, admin: false },
  { to: "/models", name: "models", Icon: IconCoins, admin: false },
  { to: "/status", name: "health", Icon: IconActivityHeartbeat, admin: false },
  { to: "/settings", name: "settings", Icon: IconKey, admin: true },
] as const;

export function Shell() {
  return (
    <Session>
      <Frame />
    </Session>
  );
}

function Frame() {
  const t = useAppWords();
  const caller = useCaller();
  const { refresh } = useNow();
  const [opened, { toggle, close }] = useDisclosure();
  const path = useRouterState({ select: (state) => state.location.pathname });
  // biome-ignore lint/correctness/useExhaustiveDependencies: whenever another view is shown
  useEffect(close, [path]);
  return (
    <AppShell
      header={{ height: 52 }}
      navbar={{ width: 208, breakpoint: "sm", collapsed: { mobile: !opened } }}
      padding={{ base: "sm", sm: "lg" }}
      classNames={{ header: classes.header, navbar: classes.navbar, main: classes.main }}
    >
      <AppShell.Header>
        <Anchor href="#content" className={classes.skip}>
          {t("skip")}
        </Anchor>
        <Group h="100%" px="md" gap="xs" wrap="nowrap" justify="space-between">
          <Group gap="xs" wrap="nowrap">
            <Burger opened={opened} onClick={toggle} hiddenFrom="sm" size="sm" aria-label={t("menu")} />
            <Mark />
          </Group>
          <Group gap={4} wrap="nowrap" className={classes.controls}>
            {caller.tenant_id === null && <TenantChoice />}
            <ActionIcon variant="subtle" color="gray" size="lg" aria-label={t("refresh")} onClick={refresh}>
              <IconRefresh size={20} aria-hidden />
            </ActionIcon>
            <Preferences />
            <Account />
          </Group>
        </Group>
      </AppShell.Header>
      <AppShell.Navbar aria-label={t("views")}>
        <AppShell.Section grow component={ScrollArea}>
          {VIEWS.filter((view) => !view.admin || caller.role === "admin").map(({ to, name, Icon }) => (
            <NavLink
              key={to}
              component={Link}
              to={to}
              label={t(name)}
              active={to === "/" ? path === "/" : path.startsWith(to)}
              aria-current={(to === "/" ? path === "/" : path.startsWith(to)) ? "page" : undefined}
              leftSection={<Icon size={18} stroke={1.7} aria-hidden />}
              className={classes.link}
            />
          ))}
        </AppShell.Section>
        <AppShell.Section p="md">
          <Text size="xs" c="dimmed">
            {t("zone")}:<br />
            <ZoneNote />
          </Text>
        </AppShell.Section>
      </AppShell.Navbar>
      <AppShell.Main id="content" tabIndex={-1}>
        <Outlet />
      </AppShell.Main>
    </AppShell>
  );
}

/** Who looks, what they may see, and the way out. */
function Account() {
  const t = useAppWords();
  const caller = useCaller();
  const client = useQueryClient();
  const isKeyless = caller.name === KEYLESS;

  async function leave() {
    await http.DELETE("/api/v1/session");
    client.clear();
    await client.refetchQueries();
    location.assign("/");
  }

  const scope = caller.tenant_id === null ? t("seesAll") : t("seesOne", { tenant: caller.tenant_id });
  return (
    <Popover position="bottom-end" width={260} trapFocus returnFocus>
      <Popover.Target>
        <ActionIcon variant="subtle" color="gray" size="lg" aria-label={t("account")}>
          <IconUser size={20} aria-hidden />
        </ActionIcon>
      </Popover.Target>
      <Popover.Dropdown aria-label={t("account")}>
        <Stack gap="xs">
          <Text size="sm">{isKeyless ? t("keyless") : t("signedInAs", { name: caller.name })}</Text>
          {!isKeyless && (
            <>
              <Text size="xs" c="dimmed">
                {t(`role_${caller.role}`)}, {scope}
              </Text>
              <Button size="xs" variant="default" onClick={() => void leave()}>
                {t("signOut")}
              </Button>
            </>
          )}
        </Stack>
      </Popover.Dropdown>
    </Popover>
  );
}
