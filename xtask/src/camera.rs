//! `cargo xtask test camera`: the real camera code against a real V4L2 device, in a small virtual machine.
//!
//! The kernel's `vivid` driver makes a camera out of nothing, but few machines can load it. So Debian's kernel is
//! unpacked (not installed), put with a busybox, the driver and the programs into a RAM disk, and started under
//! qemu's software emulation. The programs print their JSON to the serial console; this file reads it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;

use crate::command::{command, output, run, target_dir};
use crate::packages;

/// Run as the machine's first process. Each step's lines start with a word of their own.
const INIT: &str = r#"#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin:/sbin HOME=/root RUST_LOG=error
mount -t proc p /proc; mount -t sysfs s /sys; mount -t devtmpfs d /dev
ifconfig lo up
modprobe vivid n_devs=1 node_types=0x1 num_inputs=1 input_types=0x00
until [ -c /dev/video0 ]; do usleep 100000; done
said() { while read -r line; do echo "$1 $line"; done; }
parlor devices --json | said DEVICES
parlor-server --bind 127.0.0.1:8080 --ice-server none > /tmp/server.log &
server=$!
until grep -q listening /tmp/server.log; do usleep 100000; done
parlor join http://127.0.0.1:8080/r/cam --name Viewer --video none --audio none --speaker none --headless --json --duration 60s > /tmp/viewer.log &
viewer=$!
parlor join http://127.0.0.1:8080/r/cam --name Camera --video default --audio none --speaker none --headless --json --duration 40s > /tmp/camera.log &
camera=$!
until grep -q '"joined"' /tmp/camera.log; do usleep 100000; done
sleep 10
parlor join http://127.0.0.1:8080/r/busy --name Second --video default --audio none --speaker none --headless --json --duration 8s 2>&1 | said BUSY
cd /sys/bus/platform/drivers/vivid
echo vivid.0 > unbind
sleep 5
echo vivid.0 > bind
wait $camera
said CAMERA < /tmp/camera.log
parlor join http://127.0.0.1:8080/r/none --name Third --video device:nowhere --audio none --speaker none --headless --json --duration 3s 2>&1 | said MISSING
wait $viewer
said VIEWER < /tmp/viewer.log
kill $server
echo END
poweroff -f
"#;

/// Builds the machine, runs it and checks what the programs in it reported.
pub(crate) fn test() -> anyhow::Result<()> {
    packages::install(&[&packages::BUILD, &packages::CAMERA])?;
    run(&mut command("cargo", &["build", "-p", "parlor", "-p", "parlor-signaling", "--bins"]))?;
    let folder = target_dir().join("camera");
    fs::create_dir_all(&folder)?;
    let kernel = kernel(&folder)?;
    let disk = ram_disk(&folder, &kernel)?;
    let console = boot(&kernel, &disk)?;
    let checks: [(&str, Check); 4] = [
        ("the camera is listed with its formats", is_listed),
        ("its pictures are captured, sent and decoded", is_seen),
        ("a camera in use by another program is told in words", is_told_busy),
        ("an unplugged camera is told in words and comes back; so is a missing one told", is_told_gone),
    ];
    let mut failed = 0;
    for (name, check) in checks {
        match check(&console) {
            Ok(()) => println!("ok: {name}"),
            Err(error) => {
                failed += 1;
                println!("FAILED: {name}: {error:#}");
            }
        }
    }
    println!("{} passed, {failed} failed", checks.len() - failed);
    ensure!(failed == 0, "the console's output is in {}", folder.join("console.log").display());
    Ok(())
}

/// Looks for something in what the console printed.
type Check = fn(&str) -> anyhow::Result<()>;

/// An unpacked Debian kernel.
struct Kernel {
    root: PathBuf,
    version: String,
}

fn kernel(folder: &Path) -> anyhow::Result<Kernel> {
    let root = folder.join("kernel");
    if !root.join("boot").exists() {
        let depends = output("apt-cache", &["depends", "linux-image-amd64"]).context("apt-cache failed")?;
        let package =
            depends.lines().find_map(|line| line.trim().strip_prefix("Depends: ")).context("no kernel found")?;
        run(Command::new("apt-get").args(["download", "-q", package]).current_dir(folder))?;
        let deb = fs::read_dir(folder)?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
            .context("apt-get downloaded nothing")?;
        run(Command::new("dpkg-deb").arg("-x").arg(&deb).arg(&root))?;
    }
    let modules = fs::read_dir(root.join("lib/modules"))?.next().context("the kernel has no modules")??;
    let version = modules.file_name().to_string_lossy().into_owned();
    run(Command::new("depmod").arg("-b").arg(&root).arg(&version))?;
    Ok(Kernel { root, version })
}

fn ram_disk(folder: &Path, kernel: &Kernel) -> anyhow::Result<PathBuf> {
    let disk = folder.join("disk");
    if disk.exists() {
        fs::remove_dir_all(&disk)?;
    }
    for name in ["bin", "sbin", "proc", "sys", "dev", "tmp", "root"] {
        fs::create_dir_all(disk.join(name))?;
    }
    fs::copy("/bin/busybox", disk.join("bin/busybox")).context("busybox is missing")?;
    let depends = Command::new("modprobe")
        .arg("-d")
        .arg(&kernel.root)
        .args(["-S", &kernel.version, "--show-depends", "vivid"])
        .output()?;
    for module in String::from_utf8_lossy(&depends.stdout).lines().filter_map(|line| line.strip_prefix("insmod ")) {
        let path = Path::new(module.split(' ').next().unwrap_or(module));
        copy_below(&disk, path, path.strip_prefix(&kernel.root)?)?;
    }
    for list in ["modules.order", "modules.builtin"] {
        let path = kernel.root.join("lib/modules").join(&kernel.version).join(list);
        copy_below(&disk, &path, path.strip_prefix(&kernel.root)?)?;
    }
    run(Command::new("depmod").arg("-b").arg(&disk).arg(&kernel.version))?;
    let programs = target_dir().join("debug");
    for program in ["parlor", "parlor-server"] {
        with_libraries(&disk, &programs.join(program))?;
    }
    let init = disk.join("init");
    fs::write(&init, INIT)?;
    run(Command::new("chmod").arg("755").arg(&init))?;
    let image = folder.join("disk.gz");
    let pack = "find . | cpio -o -H newc 2>/dev/null | gzip -1";
    let status = Command::new("sh").args(["-c", pack]).current_dir(&disk).stdout(fs::File::create(&image)?).status()?;
    ensure!(status.success(), "the RAM disk could not be packed");
    Ok(image)
}

/// Copies a program into `bin`, and the shared libraries it asks for to where it will look for them.
fn with_libraries(disk: &Path, program: &Path) -> anyhow::Result<()> {
    let name = program.file_name().context("a program has a name")?;
    copy_below(disk, program, &Path::new("bin").join(name))?;
    let listed = Command::new("ldd").arg(program).output()?;
    for path in String::from_utf8_lossy(&listed.stdout).split_whitespace().filter(|word| word.starts_with('/')) {
        copy_below(disk, Path::new(path), Path::new(path.trim_start_matches('/')))?;
    }
    Ok(())
}

fn copy_below(disk: &Path, from: &Path, to: &Path) -> anyhow::Result<()> {
    let to = disk.join(to);
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::copy(from, to).with_context(|| format!("{} is missing", from.display()))?;
    Ok(())
}

fn boot(kernel: &Kernel, disk: &Path) -> anyhow::Result<String> {
    eprintln!("Starting the machine (software emulation, so slowly; a few minutes at most).");
    let image = kernel.root.join("boot").join(format!("vmlinuz-{}", kernel.version));
    let log = disk.with_file_name("console.log");
    let status = Command::new("timeout")
        .args(["900", "qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "2048"])
        .args(["-nographic", "-no-reboot", "-nodefaults", "-serial", "mon:stdio", "-kernel"])
        .arg(image)
        .arg("-initrd")
        .arg(disk)
        .args(["-append", "console=ttyS0 panic=-1 quiet tsc=reliable"])
        .stdin(Stdio::null())
        .stdout(fs::File::create(&log)?)
        .status()
        .context("qemu could not be started")?;
    let text = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
    if !text.lines().any(|line| line.trim() == "END") {
        bail!("the machine did not come to its end ({status}); its console's output is in {}", log.display());
    }
    Ok(text)
}

/// The JSON objects that one step printed.
fn events(console: &str, step: &str) -> Vec<Value> {
    let start = format!("{step} {{");
    let lines = console.lines().filter(|line| line.starts_with(&start));
    lines.filter_map(|line| serde_json::from_str(line[step.len()..].trim()).ok()).collect()
}

fn summary(console: &str, step: &str) -> anyhow::Result<Value> {
    let mut events = events(console, step).into_iter();
    events.find(|event| event["event"] == "summary").with_context(|| format!("{step} gave no summary"))
}

fn is_listed(console: &str) -> anyhow::Result<()> {
    // The firmware's first line has no end, so this one does not start its own.
    let (_, devices) = console.split_once("DEVICES ").context("nothing was listed")?;
    let devices = devices.lines().next().unwrap_or_default();
    let devices: Value = serde_json::from_str(devices).context("the devices are not JSON")?;
    let formats = devices["cameras"][0]["formats"].as_array().context("no camera was listed")?;
    ensure!(!formats.is_empty(), "the camera has no formats");
    Ok(())
}

fn is_seen(console: &str) -> anyhow::Result<()> {
    let sent = summary(console, "CAMERA")?["sent"].clone();
    let captured = sent["frames_captured"].as_u64().unwrap_or(0);
    // Ten seconds before it is unplugged; emulation is slow, so far fewer than thirty a second will do.
    ensure!(captured >= 30, "{captured} frames were captured");
    let seen = summary(console, "VIEWER")?["peers"][0]["frames_decoded"].as_u64().unwrap_or(0);
    ensure!(seen >= 10, "{seen} of {captured} frames were decoded by the other peer");
    Ok(())
}

fn is_told_busy(console: &str) -> anyhow::Result<()> {
    said(console, "BUSY", "another program")
}

fn is_told_gone(console: &str) -> anyhow::Result<()> {
    said(console, "CAMERA", "unplugged")?;
    let told = events(console, "VIEWER").into_iter().filter(|event| event["event"] == "peer_media");
    let told: Vec<String> = told.map(|event| event["camera"].as_str().unwrap_or("?").to_owned()).collect();
    ensure!(told == ["on", "off", "on"], "the other peer was told: {told:?}");
    said(console, "MISSING", "camera")
}

/// Whether an `error` event of this step has these words.
fn said(console: &str, step: &str, words: &str) -> anyhow::Result<()> {
    let events = events(console, step);
    let errors = events.iter().filter(|event| event["event"] == "error");
    let messages: Vec<&str> = errors.filter_map(|event| event["message"].as_str()).collect();
    ensure!(messages.iter().any(|message| message.contains(words)), "no error says {words:?}: {messages:?}");
    Ok(())
}
