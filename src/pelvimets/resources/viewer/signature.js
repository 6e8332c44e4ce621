// The signature: who, what he remarks, and whether he answers for the Structured Report.

const get = (id) => document.getElementById(id);
const count = (lesions, verdict) => lesions.filter((item) => item.verdict === verdict).length;

export class Signature {
  // page: { study(), change(step), api }
  constructor(page) {
    this.page = page;
    get("sign-cancel").addEventListener("click", () => this.cancel());
    get("sign-confirm").addEventListener("click", () => this.confirm());
    for (const id of ["reader", "organisation"]) get(id).addEventListener("input", () => this.check());
    get("verified").addEventListener("change", () => this.check());
  }

  ask() {
    const { review, lesions } = this.page.study(), open = count(lesions, "pending");
    get("sign-summary").textContent = `${count(lesions, "accepted")} accepted, ${count(lesions, "rejected")} rejected, ${open} open.`
      + (open ? " Every lesion needs a verdict before the review is signed." : "");
    get("reader").value = review.reader;
    get("comment").value = review.comment;
    get("verified").checked = review.verified;
    get("organisation").value = review.organisation;
    get("verify").hidden = this.page.study().role === "reader";
    this.check();
    get("sign-dialog").showModal();
  }

  check() {
    const open = count(this.page.study().lesions, "pending"), verified = get("verified").checked;
    get("organisation-line").hidden = !verified;
    const named = get("reader").value.trim() && (!verified || get("organisation").value.trim());
    get("sign-confirm").disabled = open > 0 || !named;
  }

  get told() {
    return {
      reader: get("reader").value, comment: get("comment").value,
      verified: get("verified").checked, organisation: get("organisation").value,
    };
  }

  confirm() {
    const { told } = this, { api, change } = this.page;
    get("sign-dialog").close();
    change(async () => {
      await api.changeReview(told);
      return api.reviewStep("sign");
    }).catch(() => {});
  }

  cancel() {
    const { told } = this, { review } = this.page.study();
    get("sign-dialog").close();
    if (Object.keys(told).some((name) => told[name] !== review[name])) this.page.change(() => this.page.api.changeReview(told)).catch(() => {});
  }
}
