// The report: made by the server, shown in a frame, printed or saved from there.

import { post } from "./api.js";
import { byId, html } from "./svg.js";

export class ReportDialog {
  /** @param request what is on the page now, as the server wants it */
  constructor(request) {
    this.request = request;
    this.url = null;
    this.dialog = byId("report-dialog");
    byId("report-close").addEventListener("click", () => this.dialog.close());
    byId("report-make").addEventListener("click", () => this.make());
    byId("report-print").addEventListener("click", () =>
      this.make(() => byId("report-frame").contentWindow.print()),
    );
    byId("report-save").addEventListener("click", () =>
      this.make(async () => {
        const page = await fetch(this.url);
        this.download(await page.text(), "fitting-report.html", "text/html");
      }),
    );
  }

  open() {
    this.dialog.showModal();
    this.make();
  }

  /** Makes the report anew, then does `afterwards` once it is shown. */
  async make(afterwards = () => {}) {
    const error = byId("report-error");
    error.hidden = true;
    try {
      const words = Object.fromEntries(["client", "fitter", "note"].map((id) => [id, byId(id).value]));
      const { url } = await post("/api/report", { ...this.request(), ...words });
      this.url = url;
      const frame = byId("report-frame");
      await new Promise((resolve) => {
        frame.addEventListener("load", resolve, { once: true });
        frame.src = url;
      });
      await afterwards();
    } catch (refused) {
      error.textContent = refused.message;
      error.hidden = false;
    }
  }

  /** Hands a file to the browser to save. */
  download(text, name, type) {
    const url = URL.createObjectURL(new Blob([text], { type }));
    const link = html("a", { href: url, download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(url), 1000);
  }
}
