/// Threads of a workgroup that owns one row; a multiple of RUN.
const THREADS: u32 = 64u;
/// Sums are found in two steps, over runs of RUN threads first.
const RUN = 8u;
const RUNS = THREADS / RUN;

var<workgroup> thread_value: array<f32, THREADS>;
var<workgroup> run_sum: array<f32, RUNS>;

/// Sum of every thread's value, the same number in every thread. All threads of the workgroup call it together.
fn row_sum(value: f32, thread: u32) -> f32 {
  thread_value[thread] = value;
  workgroupBarrier();
  if (thread < RUNS) {
    var sum = 0.0;
    for (var n = 0u; n < RUN; n++) {
      sum += thread_value[thread * RUN + n];
    }
    run_sum[thread] = sum;
  }
  workgroupBarrier();
  var total = 0.0;
  for (var n = 0u; n < RUNS; n++) {
    total += run_sum[n];
  }
  return total;
}
