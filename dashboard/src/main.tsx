/** The dashboard begins here. */
import { localStorageColorSchemeManager, MantineProvider } from "@mantine/core";
import "@mantine/core/styles.css";
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { asProblem } from "./api/client";
import "./app/base.css";
import { router } from "./app/routes";
import { theme, variables } from "./app/theme";
import { NowProvider } from "./time/now";
import { ZoneProvider } from "./time/zone";

const SERVER_FAILED = 500;
const TRIES = 3;

const client = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 30_000,
      refetchOnWindowFocus: false,
      // What the server has refused it would refuse again.
      retry: (failed, error) => {
        const { status } = asProblem(error);
        return failed < TRIES && (status === 0 || status >= SERVER_FAILED);
      },
    },
  },
});

/** The server lets this page alone add styles, by a number that it drew for it. */
const nonce = document.querySelector<HTMLMetaElement>("meta[property=csp-nonce]")?.nonce ?? "";
// The part of the component library that holds the page still behind a dialog looks for it here.
Object.assign(globalThis, { __webpack_nonce__: nonce });
const place = document.getElementById("root");
if (!place) throw new Error("index.html has no element 'root'");

createRoot(place).render(
  <StrictMode>
    <MantineProvider
      theme={theme}
      cssVariablesResolver={variables}
      defaultColorScheme="auto"
      colorSchemeManager={localStorageColorSchemeManager({ key: "cajanegra.theme" })}
      getStyleNonce={() => nonce}
    >
      <QueryClientProvider client={client}>
        <ZoneProvider>
          <NowProvider>
            <RouterProvider router={router} />
          </NowProvider>
        </ZoneProvider>
      </QueryClientProvider>
    </MantineProvider>
  </StrictMode>,
);
