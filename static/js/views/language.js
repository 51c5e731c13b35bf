/** The choice of a language. */

import { find } from "../dom.js";
import { explain } from "../messages.js";
import { LANGUAGES, currentLanguage, speak } from "../words.js";

/** @param {import("../store.js").Store} store */
export function connectLanguage(store) {
  const select = find(document, "#language", HTMLSelectElement);
  store.watch(["language"], ({ language }) => (select.value = language));
  select.addEventListener("change", async () => {
    try {
      await speak(LANGUAGES.find((each) => each === select.value) ?? "en");
    } catch (error) {
      const { text, advice } = explain(error);
      store.update({ notice: { text, advice } });
    }
    store.update({ language: currentLanguage() });
    select.value = currentLanguage(); // where it could not be had
  });
}
