// Rows are sampled by more than the playground now; this keeps the former path until its last user has moved.
export { rowInputs, spreadRows } from "../sampled-rows.js";
