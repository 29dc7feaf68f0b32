/** Passes that act around softmax attention, from q, k, v, its output and its log-sum-exp. No buffer of size Tq x Tk. */
export {};
