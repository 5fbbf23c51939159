//! The system packages each task needs, and installing the missing ones.

use anyhow::bail;

use crate::command::{command, is_on_path, output, run};

/// Packages and what they are for.
pub(crate) struct Group {
    purpose: &'static str,
    packages: &'static [&'static str],
}

/// Compilers and headers.
pub(crate) const BUILD: Group = Group {
    purpose: "build the codecs and the device layers",
    packages: &["gcc", "g++", "libc6-dev", "make", "cmake", "pkg-config", "libasound2-dev", "libclang-dev", "nasm"],
};

/// What the window loads when it starts.
pub(crate) const WINDOW: Group = Group {
    purpose: "open the window",
    packages: &["libgl1", "libegl1", "libgl1-mesa-dri", "libxkbcommon-x11-0", "libxcursor1", "libxi6", "libxrandr2"],
};

/// A display, a sound server and a browser for the tests.
pub(crate) const TEST: Group = Group {
    purpose: "run the tests: a display, a sound server, speech, a browser, a Redis, a web server, units for systemd, NATs, TURN",
    packages: &[
        "xvfb",
        "xdotool",
        "imagemagick",
        "x11-utils",
        "pulseaudio",
        "pulseaudio-utils",
        "libasound2-plugins",
        "sox",
        "espeak-ng",
        "chromium",
        "redis-server",
        "nginx-light",
        "systemd",
        "coturn",
        "iproute2",
        "nftables",
        "socat",
        "python3",
    ],
};

/// Node.js drives the browser; only where there is none yet.
pub(crate) const NODE: Group = Group { purpose: "drive the browser tests", packages: &["nodejs", "npm"] };

/// A small machine with a camera.
pub(crate) const CAMERA: Group = Group {
    purpose: "run a small virtual machine with a V4L2 camera",
    packages: &["qemu-system-x86", "busybox-static", "cpio", "kmod"],
};

/// Installs what is missing of these groups with apt, having said what and why.
///
/// # Errors
/// Where apt fails. On a system without dpkg it only says what is needed.
pub(crate) fn install(groups: &[&Group]) -> anyhow::Result<()> {
    let mut missing = Vec::new();
    for group in groups {
        let absent: Vec<&str> = group.packages.iter().copied().filter(|package| !is_installed(package)).collect();
        if !absent.is_empty() {
            eprintln!("To {}, these packages are missing: {}", group.purpose, absent.join(" "));
            missing.extend(absent);
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    if !is_on_path("apt-get") {
        eprintln!("There is no apt here. Please install what corresponds to them with your own package manager.");
        return Ok(());
    }
    eprintln!("Installing them with apt-get.");
    apt(&["update", "-q"])?;
    let mut arguments = vec!["install", "-q", "-y", "--no-install-recommends"];
    arguments.extend(missing);
    apt(&arguments)
}

fn is_installed(package: &str) -> bool {
    output("dpkg-query", &["-W", "-f=${Status}", package]).is_some_and(|status| status.ends_with("ok installed"))
}

fn apt(arguments: &[&str]) -> anyhow::Result<()> {
    let is_root = output("id", &["-u"]).is_some_and(|id| id.trim() == "0");
    let mut apt = if is_root {
        command("apt-get", arguments)
    } else if is_on_path("sudo") {
        let mut sudo = command("sudo", &["apt-get"]);
        sudo.args(arguments);
        sudo
    } else {
        bail!("installing needs root: please run `apt-get {}` as root, then this again", arguments.join(" "));
    };
    run(apt.env("DEBIAN_FRONTEND", "noninteractive"))
}
