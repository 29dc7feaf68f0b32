/** A deliberate fault of one line. `find` occurs exactly once in the file. */
export interface Fault {
  readonly name: string;
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

const SOFTMAX = "kernels/softmax/";

export const SOFTMAX_FAULTS: readonly Fault[] = [
  {
    name: "the causal mask is off by one",
    file: `${SOFTMAX}visibility.wgsl`,
    find: "position + params.window_right + 1, 0, count",
    replace: "position + params.window_right, 0, count",
  },
  {
    name: "the left window is off by one",
    file: `${SOFTMAX}visibility.wgsl`,
    find: "max(position - params.window_left, 0)",
    replace: "max(position - params.window_left + 1, 0)",
  },
  {
    name: "query heads take turns over the key heads",
    file: `${SOFTMAX}tiled.wgsl`,
    find: "let kv_head = head / params.heads_per_kv;",
    replace: "let kv_head = head % (params.heads / params.heads_per_kv);",
  },
  {
    name: "weights are read before all are written",
    file: `${SOFTMAX}tiled.wgsl`,
    find: "    workgroupBarrier();\n\n    // 3. acc += weights v",
    replace: "\n    // 3. acc += weights v",
  },
  {
    name: "old sums are not rescaled to the new maximum",
    file: `${SOFTMAX}tiled.wgsl`,
    find: "      row_sum[r] *= factor;\n",
    replace: "",
  },
  {
    name: "a split counts its sum without its factor",
    file: `${SOFTMAX}merge.wgsl`,
    find: "row_sum += state.y * factor;",
    replace: "row_sum += state.y;",
  },
  {
    name: "splits overlap by a key",
    file: `${SOFTMAX}split.wgsl`,
    find: "let end = min(begin + range, visible_end);",
    replace: "let end = min(begin + range + 1u, visible_end);",
  },
  {
    name: "the key mask is read one bit too far",
    file: `${SOFTMAX}visibility.wgsl`,
    find: "((word >> (key % 32u)) & 1u)",
    replace: "((word >> ((key + 1u) % 32u)) & 1u)",
  },
  {
    name: "the log of the sum has the wrong sign",
    file: `${SOFTMAX}lse.wgsl`,
    find: "var value = row_max + log(row_sum);",
    replace: "var value = row_max - log(row_sum);",
  },
  {
    name: "masked keys weigh one when nothing was seen",
    file: "kernels/_shared/online_softmax.wgsl",
    find: "return select(exp(score - row_max), 0.0, score <= ANY_KEY);",
    replace: "return exp(score - row_max);",
  },
  {
    name: "the plan takes key heads for the group size",
    file: `${SOFTMAX}pass-parts.ts`,
    find: "heads_per_kv: shape.heads / shape.kvHeads,",
    replace: "heads_per_kv: shape.kvHeads,",
  },
  {
    name: "the default length leaves out the last key",
    file: `${SOFTMAX}tables.ts`,
    find: "values.fill(tokensK, batches, 2 * batches);",
    replace: "values.fill(tokensK - 1, batches, 2 * batches);",
  },
  {
    name: "the last rows of a tile that is not full are left out",
    file: `${SOFTMAX}row-tiles.ts`,
    find: "length: Math.ceil(tokensQ / rows) }",
    replace: "length: Math.max(Math.floor(tokensQ / rows), 1) }",
  },
  {
    name: "a quad passes its keys round in the wrong order",
    file: `${SOFTMAX}rows.wgsl`,
    find: "keys[4u * quad + 1u] = quadBroadcast(own, 1u);",
    replace: "keys[4u * quad + 1u] = quadBroadcast(own, 2u);",
  },
  {
    name: "register tiles forget to rescale their sums",
    file: `${SOFTMAX}rows.wgsl`,
    find: "var sum = acc[r * COLUMNS + c] * factors[r];",
    replace: "var sum = acc[r * COLUMNS + c];",
  },
  {
    name: "a strip reads on into the next one",
    file: `${SOFTMAX}strips.wgsl`,
    find: "let end = min(begin + length, visible_end);",
    replace: "let end = min(begin + length + 1u, visible_end);",
  },
  {
    name: "every strip has the sink",
    file: `${SOFTMAX}strips.wgsl`,
    find: "row_sum[r] = select(0.0, state.y, split == 0u);",
    replace: "row_sum[r] = state.y;",
  },
  {
    name: "keys are read before they are staged",
    file: `${SOFTMAX}tiled.wgsl`,
    find: "      workgroupBarrier();\n    }\n    // 1.",
    replace: "    }\n    // 1.",
  },
  {
    name: "the plan drops the last strip of keys",
    file: `${SOFTMAX}decode.ts`,
    find: "const groups = (splits / together) * columnParts * decodeBlocks(shape);",
    replace: "const groups = (splits / together) * columnParts * decodeBlocks(shape) - 1;",
  },
  {
    name: "rotations turn the queries' pairs the other way",
    file: `${SOFTMAX}rotary.wgsl`,
    find: "channels[n] = rotated(own[n], load_q(row, min(other / 4u, HEAD_DIM4 - 1u))[other % 4u], position, 4u * c + n);",
    replace:
      "channels[n] = rotated(own[n], -load_q(row, min(other / 4u, HEAD_DIM4 - 1u))[other % 4u], position, 4u * c + n);",
  },
  {
    name: "the first of a rotated pair has the sign of the second",
    file: `${SOFTMAX}rotary.wgsl`,
    find: "select(other, -other, first)",
    replace: "select(-other, -other, first)",
  },
  {
    name: "the bias is read along the wrong axes",
    file: `${SOFTMAX}logits.wgsl`,
    find: "dot(vec4u(b, h, i, j), params.strides_bias)",
    replace: "dot(vec4u(b, h, j, i), params.strides_bias)",
  },
  {
    name: "ALiBi rewards distance",
    file: `${SOFTMAX}terms/alibi.wgsl`,
    find: "return score - alibi_slope(h)",
    replace: "return score + alibi_slope(h)",
  },
  {
    name: "the soft cap is one",
    file: `${SOFTMAX}terms/soft-cap.wgsl`,
    find: "return params.softcap * tanh(",
    replace: "return tanh(",
  },
  {
    name: "mask bits of the next word are one place off",
    file: `${SOFTMAX}visibility.wgsl`,
    find: "<< (32u - shift);",
    replace: "<< (31u - shift);",
  },
  {
    name: "a tile counts as hidden when its last word of the mask hides all keys",
    file: `${SOFTMAX}visibility.wgsl`,
    find: "bits |= key_mask[mask_words(batch) + word];",
    replace: "bits = key_mask[mask_words(batch) + word];",
  },
  {
    name: "what a masked key's memory holds reaches the sums",
    file: `${SOFTMAX}visibility.wgsl`,
    find: "return select(vec4f(), value, kept);",
    replace: "return value;",
  },
  {
    name: "every thread of a split sums the sink",
    file: `${SOFTMAX}split.wgsl`,
    find: "select(0.0, state.y, split == 0u && thread == 0u)",
    replace: "select(0.0, state.y, split == 0u)",
  },
  {
    name: "every split has the sink",
    file: `${SOFTMAX}split.wgsl`,
    find: "row_sum[r] = select(0.0, state.y, split == 0u && thread == 0u);",
    replace: "row_sum[r] = select(0.0, state.y, thread == 0u);",
  },
  {
    name: "a given query offset is not taken",
    file: `${SOFTMAX}problem.ts`,
    find: "alignToLength ? tokensK - tokensQ : queryOffset;",
    replace: "tokensK - tokensQ;",
  },
  {
    name: "queries are aligned to the end of the cache instead of the sequence",
    file: `${SOFTMAX}visibility.wgsl`,
    find: "return i32(token) + i32(key_count(batch)) - i32(params.tokens_q);",
    replace: "return i32(token) + i32(params.tokens_k) - i32(params.tokens_q);",
  },
  {
    name: "a further dispatch starts at the last workgroup of the one before",
    file: `${SOFTMAX}pass-parts.ts`,
    find: "first_group: groups.first,",
    replace: "first_group: Math.max(groups.first - 1, 0),",
  },
  {
    name: "cut dispatches leave out a workgroup between them",
    file: "src/dispatch/cut-workgroups.ts",
    find: "runs.push({ first, count: index - first,",
    replace: "runs.push({ first, count: index - first - 1,",
  },
  {
    name: "measuring minds no error but NaN",
    file: `${SOFTMAX}proxy-check.ts`,
    find: "if (error > tolerances[name])",
    replace: "if (error > 1e30)",
  },
  {
    name: "a candidate that writes nothing is judged by the results of the one before",
    file: `${SOFTMAX}proxy-problem.ts`,
    find: "        this.#forget();\n",
    replace: "",
  },
  {
    name: "the last tile of the listed blocks is not visited",
    file: `${SOFTMAX}key_blocks.wgsl`,
    find: "- before / keys - behind / keys, first, before / keys);",
    replace: "- before / keys - behind / keys - 1u, first, before / keys);",
  },
  {
    name: "partial blocks are taken as full",
    file: `${SOFTMAX}key_blocks.wgsl`,
    find: "HAS_MASK_MOD && (entry & 1u) == 1u",
    replace: "HAS_MASK_MOD && (entry & 1u) == 2u",
  },
  {
    name: "all batch entries take the first one's blocks",
    file: `${SOFTMAX}pass-parts.ts`,
    find: "return [batches > 1 ? heads * rows : 0, heads > 1 ? rows : 0, 1, 0];",
    replace: "return [0, heads > 1 ? rows : 0, 1, 0];",
  },
  {
    name: "a block is full when its first row is",
    file: `${SOFTMAX}block_occupancy.wgsl`,
    find: "for (var n = 1u; n < rows * keys; n++) {",
    replace: "for (var n = 1u; n < keys; n++) {",
  },
  {
    name: "listed rows stand where the list has them",
    file: `${SOFTMAX}query_rows.wgsl`,
    find: "+ 1u + own], params.tokens_q - 1u);",
    replace: "+ 1u + own] * 0u + own, params.tokens_q - 1u);",
  },
  {
    name: "a packed sequence is aligned at its begin",
    file: `${SOFTMAX}visibility.wgsl`,
    find: "i32(key_count(batch)) - i32(sequence_begin(batch + 1u));",
    replace: "i32(terms[batch]) - i32(sequence_begin(batch));",
  },
  {
    name: "a packed sequence goes on into the next one's rows",
    file: `${SOFTMAX}query_rows.wgsl`,
    find: "i32(sequence_begin(low + 1u)) - 1);",
    replace: "i32(sequence_begin(low + 1u)));",
  },
  {
    name: "a score mod does not see the bias, or the other way round",
    file: `${SOFTMAX}logits.wgsl`,
    find: "return score_mod(score, b, h, i, j);",
    replace: "return score_mod(product * params.scale, b, h, i, j);",
  },
  {
    name: "two mods read the binding of one",
    file: `${SOFTMAX}mod-slots.ts`,
    find: "known.own === own && known.data === binding.data &&",
    replace: "known.own === own &&",
  },
  {
    name: "strips do not ask the mask",
    file: `${SOFTMAX}strips.wgsl`,
    find: "key_seen(key, ranges[r], kept, n) & mask_mod(batch, heads[r], tokens[r], key);",
    replace: "key_seen(key, ranges[r], kept, n);",
  },
];
