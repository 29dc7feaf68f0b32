/// Workgroups are spread over x and y, since one dimension takes 65,535 at most; this is their running number.
fn workgroup_index(id: vec3u, counts: vec3u) -> u32 {
  return id.x + id.y * counts.x;
}

fn ceil_div(a: u32, b: u32) -> u32 {
  return (a + b - 1u) / b;
}
