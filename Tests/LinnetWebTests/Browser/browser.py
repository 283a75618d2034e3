"""Drives the web application in a real Chromium: python3 browser.py ADDRESS SCREENSHOTS MAILBOX

Prints one line for each problem and ends with 1 if there is any. The screenshots are for people to look at.
"""
import email
import email.policy
import pathlib
import re
import sys
import time

import axe_playwright_python
from playwright.sync_api import sync_playwright

address, shots, mailbox = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
chromium = sys.argv[4]
shots.mkdir(parents=True, exist_ok=True)
axe = (pathlib.Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
problems = []


def check(holds, what):
    if not holds:
        problems.append(what)


def until(page, expression):
    """Waits until an expression holds. Playwright's own way evaluates strings in the page, which its policy forbids."""
    for _ in range(150):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(100)
    raise RuntimeError(f"never became true: {expression}")


def audit(page, name):
    """Accessibility by axe, overflow, and a screenshot."""
    page.evaluate(axe)
    found = page.evaluate("async () => (await axe.run()).violations")
    for violation in found:
        if violation["impact"] in ("serious", "critical"):
            places = [node["html"][:160] for node in violation["nodes"][:3]]
            problems.append(f"{name}: {violation['id']} ({violation['impact']}): {places}")
    wide = page.evaluate("document.scrollingElement.scrollWidth - innerWidth")
    check(wide <= 0, f"{name}: the page is {wide} px wider than the window")
    page.screenshot(path=str(shots / f"{name}.png"), full_page=True)


def watched(context):
    page = context.new_page()

    def heard(message):
        # Plotly brings a style for maps, which nobody here draws; the page's policy refuses it, as it should.
        is_plotly = "plotly.js" in message.location.get("url", "") and "inline style" in message.text
        check(message.type != "error" or is_plotly or "status of 4" in message.text, f"console: {message.text} {message.location}")

    page.on("console", heard)
    page.on("pageerror", lambda error: problems.append(f"script: {error}"))
    return page


def looks(browser):
    """Every page, light and dark, on a phone and on a desk."""
    runs = None
    for scheme in ("light", "dark"):
        for width in (390, 1280):
            context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 900}, reduced_motion="reduce")
            page = watched(context)
            page.goto(address + "/runs")
            if runs is None:
                runs = page.eval_on_selector_all("input[name=run]", "all => all.map(e => e.value)")[:3]
            places = {
                "listing": "/", "search": "/?q=linear+attention", "nothing": "/?q=zzzzqqq&group=weights", "paper": "/p/deltanet",
                "plain-paper": "/p/low-rank-weights", "runs": "/runs", "run": f"/runs/{runs[-1]}", "results": "/results", "trending": "/trending",
                "compare": "/runs?" + "&".join(f"run={run}" for run in runs), "subscribe": "/subscribe", "error": "/nowhere",
                "unsubscribe": "/unsubscribe?t=abc",
            }
            for name, place in places.items():
                page.goto(address + place)
                if name in ("paper", "run", "compare"):
                    page.wait_for_selector("[data-interactive]", timeout=15000)
                audit(page, f"{name}-{scheme}-{width}")
            context.close()


def weight(browser):
    context = browser.new_context()
    page = watched(context)
    sizes = []
    page.on("response", lambda response: sizes.append(0 if "plotly.js" in response.url else len(response.body())))
    for place in ("/", "/results", "/runs"):
        sizes.clear()
        page.goto(address + place, wait_until="networkidle")
        check(0 < sum(sizes) < 150_000, f"{place} weighs {sum(sizes)} bytes")
    context.close()


def scripted(browser):
    """The flows of a reader whose browser runs scripts."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = watched(context)
    page.goto(address + "/")

    # Keyboard: the first stop leads to the content.
    page.keyboard.press("Tab")
    check(page.evaluate("document.activeElement.className") == "skip", "the first stop of the keyboard is not the skip link")
    page.keyboard.press("Enter")
    check(page.evaluate("document.activeElement.id") == "main", "the skip link does not move to the content")

    # Search as you type, announced; filters.
    page.fill("#q", "")
    page.type("#q", "gated linear", delay=20)
    until(page, "location.search.includes('q=gated+linear')")
    until(page, "document.querySelector('#results .count')?.textContent.includes('gated linear')")
    check(page.locator("#results a[href='/p/gla']").count() == 1, "the search does not find gla")
    check("gated linear" in page.inner_text("#announcement"), "the result is not announced")
    page.fill("#q", "")
    page.select_option("#group", "efficiency")
    until(page, "location.search === '?group=efficiency&sort=new'")
    check(page.locator("#results a[href='/p/gla']").count() == 0, "the filter lets another group pass")
    check(page.locator("#results a[href='/p/low-rank-weights']").count() == 1, "the filter loses its own group")

    # Theme, remembered.
    before = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.click("#theme")
    after = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.reload()
    check(before != after == page.evaluate("getComputedStyle(document.body).backgroundColor"), "the theme is not remembered")
    page.click("#theme")

    # A paper, its plot, a vote.
    page.goto(address + "/")
    page.click("#results a[href='/p/deltanet']")
    page.wait_for_selector("[data-interactive] .main-svg")
    check(page.locator(".js-plotly-plot .scatterlayer .trace").count() >= 2, "the plot has no lines")
    page.click("text=Upvote")
    check("1 vote" in page.inner_text(".vote"), "the vote is not counted")

    # A run at smoke scale, followed until it ends; another one cancelled.
    page.goto(address + "/p/gla")
    count = page.locator("#history").count()
    page.click("form.run button")
    page.wait_for_selector("[data-running]")
    until(page, "document.querySelector('[data-part=line]')?.textContent.includes('of 2 seeds')")
    page.screenshot(path=str(shots / "running.png"))
    audit(page, "running-light-1280")
    page.wait_for_selector("#history", timeout=15000)
    check(count == 0, "gla has been run before")
    page.click("text=small: minutes")
    page.click("form.run button")
    page.click("text=Cancel")
    page.wait_for_selector(".job .badge:has-text('cancelled')")

    # Curves of three runs over one another.
    page.goto(address + "/runs")
    boxes = page.locator("input[name=run]")
    for index in range(3):
        boxes.nth(index).check()
    page.click("text=Compare the chosen runs")
    page.wait_for_selector("[data-interactive]")
    check(page.locator(".legend li").count() == 3, "three runs are not compared")
    context.close()


def letter(is_wanted, what):
    """The newest mail of a kind, and its text."""
    for _ in range(100):
        for path in sorted(mailbox.glob("*.eml"), key=lambda file: file.stat().st_mtime, reverse=True):
            message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
            if is_wanted(message):
                return message, message.get_body(("plain",)).get_content()
        time.sleep(0.1)
    raise RuntimeError(f"no {what} came")


def subscription(browser):
    context = browser.new_context(viewport={"width": 390, "height": 900})
    page = watched(context)
    page.goto(address + "/subscribe")
    page.fill("#email", "reader@example.org")
    page.click("text=daily")
    page.click("button:has-text('Subscribe')")
    check("inbox" in page.inner_text("h1").lower(), "the subscription is not answered")
    _, text = letter(lambda mail: "confirm" in mail["Subject"].lower(), "confirmation")
    place = re.search(r"/confirm\?t=\S+", text).group()
    page.goto(address + place)
    page.click("button:has-text('Confirm')")
    check(page.inner_text("h1") == "Subscribed", "the confirmation is not accepted")
    (mailbox / "send").touch()  # the test sends the digest now
    message, _ = letter(lambda mail: mail["List-Unsubscribe"], "digest")
    link = re.search(r"<(https?://\S+)>", message["List-Unsubscribe"]).group(1)
    page.goto(address + link[link.index("/unsubscribe"):])
    page.screenshot(path=str(shots / "unsubscribe.png"))
    page.click("button:has-text('Unsubscribe')")
    check(page.inner_text("h1") == "Unsubscribed", "unsubscribing does not work")
    context.close()


def without_scripts(browser):
    """The same by links and forms alone."""
    context = browser.new_context(java_script_enabled=False, viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.goto(address + "/")
    page.fill("#q", "gated linear")
    page.select_option("#group", "sequence")
    page.click("#filters button")
    check("q=gated+linear" in page.url and page.locator("a[href='/p/gla']").count() > 0, "no search without scripts")
    page.goto(address + "/p/deltanet")
    check(page.locator(".plot svg.chart polyline").count() >= 2, "no drawing without scripts")
    check(not page.is_visible("#theme"), "a button that needs scripts is shown")
    page.click("text=Upvote")
    check(page.url.endswith("/p/deltanet"), "no vote without scripts")
    page.click("form.run button")
    check(page.locator(".job").count() > 0, "no run without scripts")
    page.screenshot(path=str(shots / "without-scripts.png"), full_page=True)
    page.goto(address + "/runs")
    page.locator("input[name=run]").first.check()
    page.click("text=Compare the chosen runs")
    check(page.locator(".plot svg.chart").count() > 0, "no comparison without scripts")
    context.close()


with sync_playwright() as playwright:
    browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
    for part in (looks, weight, scripted, subscription, without_scripts):
        try:
            part(browser)
        except Exception as error:  # the other parts still say what they find
            problems.append(f"{part.__name__}: {str(error).splitlines()[0]} {str(error).splitlines()[-1]}")
    browser.close()
print("\n".join(problems) or "no problems")
sys.exit(1 if problems else 0)
