struct GazeParams {
  /// Keys [begin, end) of the image and of the question.
  image_begin: u32,
  image_end: u32,
  question_begin: u32,
  question_end: u32,
  /// Query rows of content words: where `terms` holds them, and how many there are.
  rows_at: u32,
  rows: u32,
  alpha: f32,
}

@group(0) @binding(20) var<uniform> gaze: GazeParams;
