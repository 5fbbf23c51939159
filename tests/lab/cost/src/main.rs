//! `parlor-lab-cost JSON`: what a call of two costs beside what it cannot do without; see the README beside this.

mod allocations;
mod call;
mod codecs;
mod copies;
mod floor;

use std::time::Duration;

use parlor_lab_cost::clip::Clip;
use parlor_lab_cost::report::Report;
use parlor_lab_cost::request::Request;

use crate::allocations::Counting;
use crate::call::{Called, Meeting};
use crate::codecs::Pace;

#[global_allocator]
static ALLOCATOR: Counting = Counting::new();

fn main() -> anyhow::Result<()> {
    let request = Request::from_arguments()?;
    let span = Duration::from_secs_f64(request.seconds);
    let folder = tempfile::tempdir()?;
    let clip = Clip::new(request.seed);
    let file = folder.path().join("clip.y4m");
    clip.write(&file)?;

    let meeting = Meeting::begin(&file)?;
    let called = meeting.both_send(span)?;
    let one_way = meeting.one_sends(span)?;
    meeting.end();
    let copies = copies::measure(&file, &ALLOCATOR, span.min(Duration::from_secs(5)))?;

    let raw = codecs::cost(&clip, called.bitrate_bps, Pace::OfACall)?;
    let hot = codecs::cost(&clip, called.bitrate_bps, Pace::AtOnce)?;
    let packet = floor::packet_cost(one_way.packet_bytes)?;
    let Called { cpu, .. } = called;
    let mut report = Report::new(&request);
    report.figure("cpu_over_codecs", cpu.as_secs_f64() / raw.of(&called).as_secs_f64());
    report.figure("cpu_over_hot_codecs", cpu.as_secs_f64() / hot.of(&called).as_secs_f64());
    report.figure("frame_copies", copies.copies());
    report.figure("rtp_over_raw", one_way.cost_of_packet().as_secs_f64() / packet.as_secs_f64());
    report.figure("rtp_packet_us", one_way.cost_of_packet().as_secs_f64() * 1e6);
    report.figure("raw_packet_us", packet.as_secs_f64() * 1e6);
    report.figure("call_cpu_cores", cpu.as_secs_f64() / called.took.as_secs_f64());
    report.figure("codecs_cpu_cores", raw.of(&called).as_secs_f64() / called.took.as_secs_f64());
    report.figure("encode_frame_us", raw.encode_frame.as_secs_f64() * 1e6);
    report.figure("decode_frame_us", raw.decode_frame.as_secs_f64() * 1e6);
    report.figure("encode_sound_us", raw.encode_sound.as_secs_f64() * 1e6);
    report.figure("decode_sound_us", raw.decode_sound.as_secs_f64() * 1e6);
    report.figure("packets_per_second", one_way.packets_per_second());
    report.figure("encoder_sees_cameras_planes_share", copies.shared());
    for (name, cpu) in &called.threads {
        report.figure(&format!("cpu_cores_of_{name}"), cpu.as_secs_f64() / called.took.as_secs_f64());
    }
    println!("{}", report.line());
    Ok(())
}
