import package::softmax::params::params;
import super::operations::key_words;

// The sinks of every head, [batches, heads]: how many, their keys in ascending order, then a bit a key.

fn list_words(keys: u32) -> u32 {
  return 1u + keys + key_words(keys);
}

fn list_place(batch: u32, head: u32, keys: u32) -> u32 {
  return (batch * params.heads + head) * list_words(keys);
}
