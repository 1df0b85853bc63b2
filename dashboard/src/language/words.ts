/** The interface's languages: what each part says in them, which one is chosen, and how that is changed. */
import i18n from "i18next";
import { initReactI18next, useTranslation } from "react-i18next";

export const LANGUAGES = { en: "English", es: "Español" } as const;
export type Language = keyof typeof LANGUAGES;

const KEPT = "cajanegra.language";
const PLURAL = /_(one|other)$/;

/** Keys without the endings that tell singular from plural. */
type Key<Words> = keyof Words extends infer K
  ? K extends `${infer Base}_${"one" | "other"}`
    ? Base
    : K
  : never;
type Values = Record<string, string | number>;

function preferred(): Language {
  const chosen =
    localStorage.getItem(KEPT) ?? navigator.languages.find((tag) => tag.slice(0, 2) in LANGUAGES);
  return chosen?.startsWith("es") ? "es" : "en";
}

i18n.use(initReactI18next).init({
  lng: preferred(),
  fallbackLng: "en",
  resources: {},
  interpolation: { escapeValue: false }, // React escapes
  react: { useSuspense: false },
});
document.documentElement.lang = i18n.language;
i18n.on("languageChanged", (language) => {
  localStorage.setItem(KEPT, language);
  document.documentElement.lang = language;
});

/** Switches the interface to another language, now and in this browser's later visits. */
export function speak(language: Language): void {
  void i18n.changeLanguage(language);
}

/** The language that is spoken now. */
export function useLanguage(): Language {
  return useTranslation().i18n.language as Language;
}

/**
 * The words of one part of the interface, in every language: TypeScript refuses one that is missing in any.
 *
 * `{{name}}` stands for a value; keys ending in `_one` and `_other` are chosen by the value `count`.
 * Returns a hook that gives the function that says them.
 */
export function words<const En extends Record<string, string>>(
  namespace: string,
  en: En,
  es: { [K in keyof En]: string },
) {
  i18n.addResourceBundle("en", namespace, en);
  i18n.addResourceBundle("es", namespace, withMany(es));
  return () => {
    const { t } = useTranslation(namespace);
    return t as unknown as (key: Key<En> & string, values?: Values) => string;
  };
}

/** Spanish has a third form, for round millions, which reads as the plural does. */
function withMany(spoken: Record<string, string>): Record<string, string> {
  const many = Object.entries(spoken).filter(([key]) => PLURAL.test(key) && key.endsWith("_other"));
  return {
    ...spoken,
    ...Object.fromEntries(many.map(([key, text]) => [key.replace(PLURAL, "_many"), text])),
  };
}
