/** The form that exchanges a key for a session. */
import { Alert, Button, Code, Paper, PasswordInput, Stack, Text, Title } from "@mantine/core";
import { type FormEvent, useState } from "react";
import { asProblem, http } from "../api/client";
import { Preferences } from "../app/preferences";
import { words } from "../language/words";
import { Mark } from "../parts/mark";
import classes from "./sign-in.module.css";

const useWords = words(
  "sign-in",
  {
    title: "Sign in to cajanegra",
    key: "Key",
    help: "Whoever runs the server makes one:",
    enter: "Sign in",
    failed: "The key was not accepted",
    unreachable: "The server does not answer; try again.",
  },
  {
    title: "Entrar en cajanegra",
    key: "Clave",
    help: "La crea quien administra el servidor:",
    enter: "Entrar",
    failed: "La clave no ha sido aceptada",
    unreachable: "El servidor no responde; inténtalo de nuevo.",
  },
);

export function SignIn({ onEntered }: { onEntered: () => Promise<void> }) {
  const t = useWords();
  const [key, setKey] = useState("");
  const [busy, setBusy] = useState(false);
  const [reason, setReason] = useState<string>();

  async function enter(event: FormEvent) {
    event.preventDefault();
    setBusy(true);
    setReason(undefined);
    try {
      const { error } = await http.POST("/api/v1/session", { body: { key: key.trim() } });
      if (error) setReason(asProblem(error).detail ?? asProblem(error).title);
      else await onEntered();
    } catch {
      setReason(t("unreachable"));
    } finally {
      setBusy(false);
    }
  }

  return (
    <div className={classes.page}>
      <div className={classes.corner}>
        <Preferences />
      </div>
      <main className={classes.main}>
        <Paper component="form" className={classes.form} onSubmit={enter}>
          <Stack gap="md">
            <Mark />
            <Title order={1}>{t("title")}</Title>
            <PasswordInput
              label={t("key")}
              value={key}
              onChange={(event) => setKey(event.currentTarget.value)}
              placeholder="cn_…"
              autoComplete="current-password"
              spellCheck={false}
              data-autofocus
              autoFocus
            />
            {reason && (
              <Alert color="red" variant="outline" role="alert" title={t("failed")}>
                {reason}
              </Alert>
            )}
            <Button type="submit" loading={busy} disabled={key.trim() === ""}>
              {t("enter")}
            </Button>
            <Text size="sm" c="dimmed">
              {t("help")}
            </Text>
            <Code block>cajanegra keys create --all-tenants --role reader</Code>
          </Stack>
        </Paper>
      </main>
    </div>
  );
}
