import package::softmax::params::params;
import package::softmax::visibility::query_position;
import super::operations::{ ALL_ROWS, LAST_ROW, Operation };

/// The first token whose row an operation may shift; those behind it are too.
fn first_chosen(operation: Operation) -> u32 {
  if (operation.first_position == ALL_ROWS) {
    return 0u;
  }
  if (operation.first_position == LAST_ROW) {
    return params.tokens_q - 1u;
  }
  return u32(clamp(operation.first_position - query_position(operation.batch, 0u), 0, i32(params.tokens_q)));
}
