// The keys with most weight of each row, from the lists that ranges of keys left: of equals the first. A thread merges for one row
// and head; what it writes are the keys or their weights.
import package::_shared::online_softmax::NO_KEY;
import package::_shared::workgroup_index::workgroup_index;
import package::softmax::params::params;
import super::row_lse::row_lse;
import package::_calibration::row_terms::HAS_ROW_TERMS;
import super::statistic_output::{ Place, place_of, store };
import super::sweep_params::{ TOP, sweep, swept_head, top_at };

const THREADS: u32 = 64u;
/// Write the weights rather than the keys.
const WEIGHTS: bool = false;
/// How many to write, at most TOP.
const TAKE: u32 = 1u;
const SPLITS: u32 = 1u;

@group(0) @binding(15) var<storage, read> partials: array<f32>;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group_id: vec3u,
  @builtin(num_workgroups) group_counts: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let place = place_of(workgroup_index(group_id, group_counts) * THREADS + thread);
  if (place.batch >= params.batches) {
    return;
  }
  let pair = place.batch * sweep.heads + place.group;
  let logarithm = row_lse(place.batch, place.token, swept_head(place.group));
  // How many of each list are taken.
  var taken = array<u32, SPLITS>();
  for (var n = 0u; n < TAKE; n++) {
    var best = NO_KEY;
    var chosen = 0u;
    for (var split = 0u; split < SPLITS; split++) {
      let value = partials[top_at(split, pair, place.token) + 2u * taken[split]];
      // Lists of earlier ranges first: of equals the first key.
      if (value > best) {
        best = value;
        chosen = split;
      }
    }
    let is_key = best > NO_KEY;
    let key = partials[top_at(chosen, pair, place.token) + 2u * taken[chosen] + 1u];
    if (is_key && taken[chosen] + 1u < TOP) {
      taken[chosen]++;
    }
    let weight = select(exp(best - logarithm), best, HAS_ROW_TERMS);
    store(Place(place.batch, place.token, place.group, n), select(select(-1.0, key, is_key), select(0.0, weight, is_key), WEIGHTS));
  }
}
