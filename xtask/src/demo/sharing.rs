//! The doctor shows a page that lies on their screen.

use std::{path::Path, process::Command};

use anyhow::{Context, Result, bail};

use super::{person::Person, report::Report};

const TITLE: &str = "Exercises for the shoulder";
/// The page's head, by which it is known at the other side.
const HEAD: &str = "rgb(200,40,30)";

pub(super) async fn share(report: &mut Report, out: &Path, doctor: &Person, patient: &Person) -> Result<()> {
    let page = draw(out)?;
    let mut window = doctor.world.open_window(TITLE, &page)?;
    doctor.does("screen").await?;
    doctor.sees(TITLE).await?;
    let previews = "[...document.querySelectorAll('.screen-choice img')].length > 1 && \
        [...document.querySelectorAll('.screen-choice img')].every((picture) => picture.naturalWidth > 0)";
    doctor.until("what each shows", previews).await?;
    doctor.screenshot(out, &mut report.screens, "share").await?;
    doctor.click(".screen-choice[data-key^='window:']").await?;
    doctor.does("share").await?;
    doctor.sees("sees what you share").await?;
    let red = "(() => { const page = document.querySelector('.stage.presents canvas'); \
        if (!page || page.width < 400) return false; \
        const [r, g, b] = page.getContext('2d').getImageData(page.width / 2, page.height / 20, 1, 1).data; \
        return Math.abs(r - 200) < 25 && Math.abs(g - 40) < 25 && Math.abs(b - 30) < 25; })()";
    patient.until("the page's head in its colour", red).await?;
    patient.until("the doctor beside it", "document.querySelector('canvas.beside')?.width > 0").await?;
    patient.screenshot(out, &mut report.screens, "shared-page").await?;

    // Closed, it is gone at both sides, and both are told.
    window.close()?;
    doctor.sees("the window or screen is gone").await?;
    let is_back = "document.querySelector('canvas.remote') && !document.querySelector('.stage.presents')";
    patient.until("the doctor alone", is_back).await?;
    report.step("doctor", "has shown a page, and closed it");
    Ok(())
}

/// A page with something to read on it.
fn draw(out: &Path) -> Result<std::path::PathBuf> {
    let page = out.join("page.miff");
    // Lines where text would be: not every machine has a font for ImageMagick.
    let lines: Vec<String> = (0..12)
        .map(|line| {
            let (top, right) = (130 + line * 26, 680 - line * 37 % 190);
            format!("rectangle 40,{top} {right},{}", top + 12)
        })
        .collect();
    let done = Command::new("convert")
        .args(["-size", "720x480", "xc:white", "-fill", HEAD, "-draw", "rectangle 0,0 720,80"])
        .args(["-fill", "gray25", "-draw", &lines.join(" ")])
        .arg(&page)
        .status()
        .context("ImageMagick is not there")?;
    if !done.success() {
        bail!("the page was not drawn");
    }
    Ok(page)
}
