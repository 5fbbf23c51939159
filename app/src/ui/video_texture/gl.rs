//! Planes into colours with OpenGL: the only file that calls it.
//!
//! The planes are uploaded as they are and read point by point; what comes out goes into the tile's own texture, of the
//! picture's size. Everything that is drawn with that texture (corners, mirroring, cutting) knows nothing of it.

use eframe::egui_glow::ShaderVersion;
use eframe::glow::{self, HasContext as _};
use parlor_media::I420;

/// Covers everything that is drawn to with one triangle.
const VERTICES: &str = "
void main() {
    vec2 corner = vec2(float((gl_VertexID << 1) & 2), float(gl_VertexID & 2));
    gl_Position = vec4(corner * 2.0 - 1.0, 0.0, 1.0);
}";

/// BT.601 in limited range; a point of colour holds for four of brightness, as in the conversion by the processor.
const FRAGMENTS: &str = "
precision highp float;
precision highp int;
uniform highp sampler2D y_plane;
uniform highp sampler2D u_plane;
uniform highp sampler2D v_plane;
out vec4 color;
void main() {
    ivec2 at = ivec2(gl_FragCoord.xy);
    float y = (texelFetch(y_plane, at, 0).r - 16.0 / 255.0) * (255.0 / 219.0);
    float u = texelFetch(u_plane, at / 2, 0).r - 128.0 / 255.0;
    float v = texelFetch(v_plane, at / 2, 0).r - 128.0 / 255.0;
    vec3 rgb = vec3(y + 1.596027 * v, y - 0.391762 * u - 0.812968 * v, y + 2.017232 * u);
    color = vec4(clamp(rgb, 0.0, 1.0), 1.0);
}";

const PLANES: [&str; 3] = ["y_plane", "u_plane", "v_plane"];

/// One plane of a picture, known to hold the bytes that it says.
#[derive(Clone, Copy)]
struct Plane<'a> {
    bytes: &'a [u8],
    stride: i32,
    width: i32,
    height: i32,
}

impl<'a> Plane<'a> {
    fn new(bytes: &'a [u8], stride: usize, width: u32, height: u32) -> Option<Self> {
        let (columns, rows) = (usize::try_from(width).ok()?, usize::try_from(height).ok()?);
        let needed = stride.checked_mul(rows.checked_sub(1)?)?.checked_add(columns)?;
        if columns == 0 || columns > stride || bytes.len() < needed {
            return None;
        }
        let signed = |value: u32| i32::try_from(value).ok();
        Some(Self { bytes, stride: i32::try_from(stride).ok()?, width: signed(width)?, height: signed(height)? })
    }
}

/// A picture whose planes are as large as it says.
pub(super) struct Planes<'a>([Plane<'a>; 3]);

impl<'a> Planes<'a> {
    /// None where a plane is shorter than the picture.
    pub(super) fn new(picture: &'a I420, width: u32, height: u32) -> Option<Self> {
        let (half_width, half_height) = (width.div_ceil(2), height.div_ceil(2));
        let I420 { y, u, v, y_stride, uv_stride } = picture;
        Some(Self([
            Plane::new(y, *y_stride, width, height)?,
            Plane::new(u, *uv_stride, half_width, half_height)?,
            Plane::new(v, *uv_stride, half_width, half_height)?,
        ]))
    }
}

/// What stays on the card while the window is open: one program, and room for the planes of the largest picture so far.
/// Whoever has one calls [`Converter::delete`] while the context is still there.
pub(super) struct Converter {
    program: glow::Program,
    nothing: glow::VertexArray,
    framebuffer: glow::Framebuffer,
    planes: [(glow::Texture, i32, i32); 3],
}

/// What makes a name in OpenGL, in words.
fn made<T>(name: Result<T, String>) -> Result<T, String> {
    name.map_err(|reason| format!("the graphics card has no room: {reason}"))
}

/// The name of the card, or of what stands in for one.
#[allow(unsafe_code)]
pub(super) fn renderer(gl: &glow::Context) -> String {
    // SAFETY: the context is current: eframe lends it while the window is made.
    unsafe { gl.get_parameter_string(glow::RENDERER) }
}

/// Takes a texture's memory, as where a card has none left: nothing can be drawn into it until it is filled anew.
#[allow(unsafe_code)]
pub(super) fn take_room(gl: &glow::Context, texture: glow::Texture) {
    let (inside, none) = (glow::RGBA8.cast_signed(), glow::PixelUnpackData::Slice(None));
    // SAFETY: the context is current, the texture is egui's and lives while it paints. Nothing is read from memory.
    unsafe {
        gl.bind_texture(glow::TEXTURE_2D, Some(texture));
        gl.tex_image_2d(glow::TEXTURE_2D, 0, inside, 0, 0, 0, glow::RGBA, glow::UNSIGNED_BYTE, none);
    }
}

impl Converter {
    /// Compiles, and tries on a small picture whether what comes out is right.
    ///
    /// # Errors
    /// In words, when this card can't do it, or does something else.
    pub(super) fn new(gl: &glow::Context) -> Result<Self, String> {
        let version = ShaderVersion::get(gl);
        match version {
            ShaderVersion::Gl140 | ShaderVersion::Es300 => {}
            ShaderVersion::Gl120 | ShaderVersion::Es100 => {
                return Err("it needs OpenGL 3.1 or OpenGL ES 3.0".to_owned());
            }
        }
        let mut converter = Self::make(gl, version)?;
        match converter.prove(gl) {
            Ok(()) => Ok(converter),
            Err(reason) => {
                converter.delete(gl);
                Err(reason)
            }
        }
    }

    #[allow(unsafe_code)]
    fn make(gl: &glow::Context, version: ShaderVersion) -> Result<Self, String> {
        let program = link(gl, version)?;
        // SAFETY: the context is current, and the names used were made in it just now.
        unsafe {
            gl.use_program(Some(program));
            for (unit, name) in (0..).zip(PLANES) {
                gl.uniform_1_i32(gl.get_uniform_location(program, name).as_ref(), unit);
            }
            gl.use_program(None);
            Ok(Self {
                program,
                nothing: made(gl.create_vertex_array())?,
                framebuffer: made(gl.create_framebuffer())?,
                planes: [plane_texture(gl)?, plane_texture(gl)?, plane_texture(gl)?],
            })
        }
    }

    /// Converts a picture into a texture of its size, RGBA. The context is current, and its own framebuffer is bound
    /// again afterwards; the rest of the state is left to whoever paints next, as after any paint callback.
    ///
    /// # Errors
    /// In words, when the card can't draw into that texture.
    #[allow(unsafe_code)]
    pub(super) fn convert(
        &mut self,
        gl: &glow::Context,
        picture: &Planes<'_>,
        target: glow::Texture,
    ) -> Result<(), String> {
        self.upload(gl, picture);
        let (width, height) = (picture.0[0].width, picture.0[0].height);
        // SAFETY: the context is current; the names were made in it and are deleted with `self` only, `target` is
        // egui's and lives while it paints. Nothing is read from memory.
        unsafe {
            gl.bind_framebuffer(glow::FRAMEBUFFER, Some(self.framebuffer));
            let attach = |texture| {
                gl.framebuffer_texture_2d(glow::FRAMEBUFFER, glow::COLOR_ATTACHMENT0, glow::TEXTURE_2D, texture, 0);
            };
            attach(Some(target));
            let status = gl.check_framebuffer_status(glow::FRAMEBUFFER);
            if status == glow::FRAMEBUFFER_COMPLETE {
                gl.disable(glow::SCISSOR_TEST);
                gl.disable(glow::BLEND);
                gl.viewport(0, 0, width, height);
                gl.use_program(Some(self.program));
                gl.bind_vertex_array(Some(self.nothing));
                gl.draw_arrays(glow::TRIANGLES, 0, 3);
                gl.bind_vertex_array(None);
            }
            // Or a texture that is deleted meanwhile would stay for as long as this.
            attach(None);
            gl.bind_framebuffer(glow::FRAMEBUFFER, None);
            gl.active_texture(glow::TEXTURE0);
            if status == glow::FRAMEBUFFER_COMPLETE {
                Ok(())
            } else {
                Err(format!("it can't draw into a texture (status {status:#x})"))
            }
        }
    }

    /// The planes are bound to the first three units when it is done.
    #[allow(unsafe_code)]
    fn upload(&mut self, gl: &glow::Context, picture: &Planes<'_>) {
        for ((unit, plane), (texture, width, height)) in (0..).zip(&picture.0).zip(&mut self.planes) {
            // SAFETY: the context is current; `Plane::new` has seen that the bytes reach as far as the last row.
            unsafe {
                gl.active_texture(glow::TEXTURE0 + unit);
                gl.bind_texture(glow::TEXTURE_2D, Some(*texture));
                if *width < plane.width || *height < plane.height {
                    (*width, *height) = ((*width).max(plane.width), (*height).max(plane.height));
                    let (format, empty) = (glow::RED, glow::PixelUnpackData::Slice(None));
                    let inside = glow::R8.cast_signed();
                    gl.tex_image_2d(
                        glow::TEXTURE_2D,
                        0,
                        inside,
                        *width,
                        *height,
                        0,
                        format,
                        glow::UNSIGNED_BYTE,
                        empty,
                    );
                }
                gl.pixel_store_i32(glow::UNPACK_ALIGNMENT, 1);
                gl.pixel_store_i32(glow::UNPACK_ROW_LENGTH, plane.stride);
                let bytes = glow::PixelUnpackData::Slice(Some(plane.bytes));
                let (width, height) = (plane.width, plane.height);
                gl.tex_sub_image_2d(glow::TEXTURE_2D, 0, 0, 0, width, height, glow::RED, glow::UNSIGNED_BYTE, bytes);
                gl.pixel_store_i32(glow::UNPACK_ROW_LENGTH, 0);
            }
        }
    }

    /// A picture of an odd size with rows longer than it, of four colours, comes out as it should.
    #[allow(unsafe_code)]
    fn prove(&mut self, gl: &glow::Context) -> Result<(), String> {
        let y = [[235, 235, 16, 0], [235, 235, 16, 0], [81, 81, 145, 0]].concat();
        let picture =
            I420 { y, u: vec![128, 128, 9, 90, 54, 9], v: vec![128, 128, 9, 240, 34, 9], y_stride: 4, uv_stride: 3 };
        let wanted = [[255; 3], [255; 3], [0; 3], [255; 3], [255; 3], [0; 3], [254, 0, 0], [254, 0, 0], [0, 255, 1]];
        let planes = Planes::new(&picture, 3, 3).ok_or("the picture it is tried on is none")?;
        let mut seen = [0; 9 * 4];
        // SAFETY: the context is current, the texture is made and deleted here, and what is read fills `seen` exactly.
        let done = unsafe {
            let target = made(gl.create_texture())?;
            gl.bind_texture(glow::TEXTURE_2D, Some(target));
            gl.tex_parameter_i32(glow::TEXTURE_2D, glow::TEXTURE_MIN_FILTER, glow::LINEAR.cast_signed());
            let empty = glow::PixelUnpackData::Slice(None);
            let inside = glow::RGBA8.cast_signed();
            gl.tex_image_2d(glow::TEXTURE_2D, 0, inside, 3, 3, 0, glow::RGBA, glow::UNSIGNED_BYTE, empty);
            let done = self.convert(gl, &planes, target);
            gl.bind_framebuffer(glow::FRAMEBUFFER, Some(self.framebuffer));
            let texture = Some(target);
            gl.framebuffer_texture_2d(glow::FRAMEBUFFER, glow::COLOR_ATTACHMENT0, glow::TEXTURE_2D, texture, 0);
            if done.is_ok() {
                let into = glow::PixelPackData::Slice(Some(&mut seen));
                gl.read_pixels(0, 0, 3, 3, glow::RGBA, glow::UNSIGNED_BYTE, into);
            }
            gl.framebuffer_texture_2d(glow::FRAMEBUFFER, glow::COLOR_ATTACHMENT0, glow::TEXTURE_2D, None, 0);
            gl.bind_framebuffer(glow::FRAMEBUFFER, None);
            gl.delete_texture(target);
            done
        };
        done?;
        let right = seen.chunks_exact(4).zip(wanted).all(|(seen, wanted)| {
            seen[3] == 255 && seen.iter().zip(wanted).all(|(seen, wanted): (&u8, u8)| seen.abs_diff(wanted) <= 3)
        });
        if right { Ok(()) } else { Err("it gives other colours than it should".to_owned()) }
    }

    /// Gives everything back.
    #[allow(unsafe_code)]
    pub(super) fn delete(self, gl: &glow::Context) {
        // SAFETY: the context is current, and nobody has these names any more.
        unsafe {
            gl.delete_program(self.program);
            gl.delete_vertex_array(self.nothing);
            gl.delete_framebuffer(self.framebuffer);
            for (texture, ..) in self.planes {
                gl.delete_texture(texture);
            }
        }
    }
}

/// A texture that is read point by point; without a size yet.
#[allow(unsafe_code)]
fn plane_texture(gl: &glow::Context) -> Result<(glow::Texture, i32, i32), String> {
    // SAFETY: the context is current.
    unsafe {
        let texture = made(gl.create_texture())?;
        gl.bind_texture(glow::TEXTURE_2D, Some(texture));
        for (what, value) in [
            (glow::TEXTURE_MIN_FILTER, glow::NEAREST),
            (glow::TEXTURE_MAG_FILTER, glow::NEAREST),
            (glow::TEXTURE_WRAP_S, glow::CLAMP_TO_EDGE),
            (glow::TEXTURE_WRAP_T, glow::CLAMP_TO_EDGE),
        ] {
            gl.tex_parameter_i32(glow::TEXTURE_2D, what, value.cast_signed());
        }
        Ok((texture, 0, 0))
    }
}

#[allow(unsafe_code)]
fn link(gl: &glow::Context, version: ShaderVersion) -> Result<glow::Program, String> {
    // SAFETY: the context is current, and the names used were made in it just now.
    unsafe {
        let program = made(gl.create_program())?;
        for (kind, text) in [(glow::VERTEX_SHADER, VERTICES), (glow::FRAGMENT_SHADER, FRAGMENTS)] {
            let shader = made(gl.create_shader(kind))?;
            gl.shader_source(shader, &format!("{}{text}", version.version_declaration()));
            gl.compile_shader(shader);
            gl.attach_shader(program, shader);
            // It lives on in the program; what it says when it is wrong, linking says as well.
            gl.delete_shader(shader);
        }
        gl.link_program(program);
        if gl.get_program_link_status(program) {
            return Ok(program);
        }
        let reason = gl.get_program_info_log(program);
        gl.delete_program(program);
        Err(format!("its compiler refuses: {}", reason.trim()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_that_end_early_are_none() {
        let picture =
            |y: usize, uv: usize| I420 { y: vec![0; y], u: vec![0; uv], v: vec![0; uv], y_stride: 8, uv_stride: 4 };
        assert!(Planes::new(&picture(8 * 4 + 5, 4 * 2 + 3), 5, 5).is_some(), "the last row needs no rest");
        for (y, uv) in [(8 * 4 + 4, 11), (37, 10), (0, 0)] {
            assert!(Planes::new(&picture(y, uv), 5, 5).is_none(), "{y} {uv}");
        }
        for (width, height) in [(9, 1), (0, 4), (4, 0), (u32::MAX, 1), (1, u32::MAX), (u32::MAX, u32::MAX)] {
            assert!(Planes::new(&picture(64, 16), width, height).is_none(), "{width} {height}");
        }
    }
}
