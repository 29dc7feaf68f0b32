// Competition and aggregation of a chunk of sources: scores Ô_j = min(<K_j, sum Q / I>, clamp), and sum e^(Ô_j - m) K_jᵀ v_j with
// sum e^(Ô_j - m), m their maximum, or 0 where they are bounded. merge.wgsl joins the chunks.
// A workgroup takes a chunk of one head and up to TILE blocks of the matrix; a thread has a token first, then a block.
import package::_shared::workgroup_index::workgroup_index;
import super::flow::flow;
import super::outer::{ PARTS, add_outer_products, block_of, keys, store_block, weights };
import super::params::{ BOUNDED, COLUMNS, HEAD_DIM4, ROWS, TILE, Sums, key_length, params, side_rows };
import super::values::first_value;
import super::vectors::{ CONSERVED, QUERIES };

/// [4, heads of the scratch, HEAD_DIM4]
@group(0) @binding(2) var<storage, read> totals: array<vec4f>;
/// [heads of the scratch, chunks] maximum and sum
@group(0) @binding(6) var<storage, read_write> competition: array<vec2f>;

var<workgroup> scores: array<f32, TILE>;

@compute @workgroup_size(TILE)
fn main(
  @builtin(workgroup_id) group_id: vec3u,
  @builtin(num_workgroups) group_counts: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let index = params.first_group + workgroup_index(group_id, group_counts);
  if (index >= params.first_group + params.groups) {
    return;
  }
  let part = index % PARTS;
  let chunk = index / PARTS % params.chunks;
  let head = index / (PARTS * params.chunks);
  let length = key_length((params.first_head + head) / params.heads);
  let begin = chunk * params.chunk_tokens;
  let first = head * side_rows() + begin;
  let value_rows = first_value(params.first_head + head);
  let corner = block_of(part, thread);

  // Sum of queries over their incoming flows.
  let other = ((CONSERVED + QUERIES) * params.head_count + head) * HEAD_DIM4;
  var sums = Sums();
  var most = 0.0;
  var own_sum = 0.0;
  for (var tile = 0u; tile < params.chunk_tokens && begin + tile < length; tile += TILE) {
    let count = min(TILE, length - begin - tile);
    let valid = thread < count;
    let own = (first + tile + thread) * HEAD_DIM4;
    var score = params.flow_epsilon;
    for (var c = 0u; c < HEAD_DIM4; c++) {
      score += flow(keys[own + c], totals[other + c], c);
    }
    // Flows are positive, so the clamp's lower end and 0 as the least maximum change nothing.
    score = min(score, params.clamp);
    if (!BOUNDED) {
      scores[thread] = select(0.0, score, valid);
      workgroupBarrier();
      var new_most = most;
      for (var t = 0u; t < TILE; t++) {
        new_most = max(new_most, scores[t]);
      }
      let factor = exp(most - new_most);
      for (var r = 0u; r < ROWS; r++) {
        for (var n = 0u; n < COLUMNS; n++) {
          sums[r * COLUMNS + n] *= factor;
        }
      }
      own_sum *= factor;
      most = new_most;
    }
    let weight = select(0.0, exp(score - most), valid);
    own_sum += weight;
    weights[thread] = weight;
    workgroupBarrier();
    add_outer_products(&sums, corner, first + tile, value_rows + (begin + tile) * params.strides_v.y, count);
    workgroupBarrier();
  }
  store_block(&sums, corner, part, thread, head * params.chunks + chunk);

  weights[thread] = own_sum;
  workgroupBarrier();
  if (part == 0u && thread == 0u) {
    var sum = 0.0;
    for (var t = 0u; t < TILE; t++) {
      sum += weights[t];
    }
    competition[head * params.chunks + chunk] = vec2f(most, sum);
  }
}
