"""Each mechanism's PyTorch form against the golden cases that the mechanisms' own published code wrote."""

import json
import unittest

import torch

import safetensors
from mechanisms import lightning
from mechanisms.agent import AgentAttention
from mechanisms.flow import flow_attention
from mechanisms.moh import HeadRouter
from mechanisms.softmax import rotary_table, rotate, softmax_attention
from models.language import merge_heads, split_heads
from paths import GOLDEN


def golden(case):
    tensors, metadata = safetensors.read(GOLDEN / f"{case}.safetensors")
    return {name: torch.from_numpy(array) for name, array in tensors.items()}, json.loads(metadata["params"])


class Golden(unittest.TestCase):
    def close(self, got, expected, tolerance=1e-5):
        self.assertEqual(got.shape, expected.shape)
        bound = tolerance * max(1.0, expected.abs().max().item())
        self.assertLess((got - expected).abs().max().item(), bound)


class Softmax(Golden):
    def check(self, case):
        t, params = golden(case)
        for block in (16, 128):
            out = softmax_attention(t["q"], t["k"], t["v"], params.get("causal", False), params["scale"], block)
            self.close(out, t["out"])

    def test_causal(self):
        self.check("softmax_causal_n101_d128")

    def test_grouped_heads(self):
        self.check("softmax_gqa_8_2_causal")

    def test_queries_at_the_end_of_the_keys(self):
        self.check("softmax_causal_chunk_offset")

    def test_one_query(self):
        self.check("softmax_decode_q1")

    def test_cross(self):
        self.check("softmax_noncausal_cross")

    def test_rotation_as_in_llama(self):
        """The authors' rotary embedding; their binary gates are given."""
        t, params = golden("moh_llama_h8_kv2")
        table = rotary_table(params["N"], params["head_dim"], params["rope_theta"])
        heads = {"q": params["heads"], "k": params["kv_heads"], "v": params["kv_heads"]}
        q, k, v = (split_heads(t["x"] @ t[f"w.{name}_proj.weight"].T, count) for name, count in heads.items())
        out = softmax_attention(rotate(q, table), rotate(k, table), v, causal=True)
        self.close(merge_heads(out * t["head_mask"].transpose(1, 2)[..., None]), t["core"])

    def test_rotation_turns_forward(self):
        """Channel c with channel c + D/2, by the position times theta to the power -2c/D, as a complex product."""
        x = torch.randn(1, 1, 5, 6)
        angles = torch.arange(5.0)[:, None] * 100 ** (-torch.arange(3.0) / 3)
        turned = torch.complex(x[..., :3], x[..., 3:]) * torch.polar(torch.ones(5, 3), angles)
        self.close(rotate(x, rotary_table(5, 6, 100.0)), torch.cat((turned.real, turned.imag), -1))

    def test_rotation_depends_on_the_distance_alone(self):
        table = rotary_table(64, 24)
        q, k = torch.randn(2, 1, 1, 1, 24).expand(2, 1, 1, 64, 24)
        scores = rotate(q, table) @ rotate(k, table).transpose(-1, -2)
        self.close(scores[..., 1:, 1:], scores[..., :-1, :-1], 1e-4)


class Lightning(Golden):
    def check(self, case):
        t, _ = golden(case)
        for block in (7, 64):
            state = t.get("initial_state")
            out, final = lightning.lightning_attention(t["q"], t["k"], t["v"], t.get("slopes"), state, block)
            self.close(out, t["out"])
            self.close(final, t["final_state"])

    def test_decay(self):
        self.check("lightning_decay_n65_d32")

    def test_without_decay(self):
        self.check("lightning_nodecay_n65_d64")

    def test_layer_factor(self):
        self.check("lightning_decay_h12_layer5of24")

    def test_one_token(self):
        self.check("lightning_n1")

    def test_carried_state(self):
        self.check("lightning_decode_state")

    def test_decay_table(self):
        t, _ = golden("lightning_slopes")
        for heads in (1, 2, 3, 4, 5, 6, 8, 12, 16, 20, 24, 32, 40, 64):
            self.close(torch.tensor(lightning.slope_list(heads)), t[f"slopes_h{heads}"], 1e-7)
        factors = torch.tensor([[lightning.layer_factor(layer, 12)] for layer in range(12)])
        self.close(factors * torch.tensor(lightning.slope_list(20)), t["tnl_h20_L12"], 1e-6)

    def test_srms_norm(self):
        t, params = golden("lightning_srmsnorm")
        self.close(lightning.srms_norm(t["x"], params["eps"]), t["out"])

    def test_transnormer_module(self):
        t, params = golden("lightning_transnormerllm_lrpe")
        heads = params["heads"]
        q, k, v, u = (t["x"] @ t["w.qkvu"].T).chunk(4, -1)
        table = lightning.lrpe_table(params["N"], heads, params["C"] // heads)
        q, k = (lightning.lrpe(split_heads(torch.nn.functional.silu(part), heads), table) for part in (q, k))
        out, _ = lightning.lightning_attention(q, k, split_heads(v, heads), t["slopes"])
        self.close((lightning.srms_norm(merge_heads(out)) * u) @ t["w.out"].T, t["out"])


class Flow(Golden):
    def check(self, case):
        t, params = golden(case)
        extra = params["eps"] if params["variant"] == "cv" else 0.0
        out = flow_attention(t["q"], t["k"], t["v"], params["causal"], params["clamp"], params["eps"], extra)
        self.close(merge_heads(out), t["core"])

    def test_causal(self):
        self.check("flow_causal_d128")

    def test_causal_with_the_wide_clamp(self):
        self.check("flow_nlp_clamp5")

    def test_one_token(self):
        self.check("flow_causal_n1")

    def test_cross(self):
        self.check("flow_normal_cross_d32")

    def test_without_clamp(self):
        self.check("flow_timeseries_noclamp")

    def test_vision_variant(self):
        self.check("flow_cv_variant")


class Agent(Golden):
    def check(self, case):
        t, params = golden(case)
        heads, width = params["heads"], params["C"] // params["heads"]
        agent = AgentAttention(heads, width, params["agent_num"], tuple(params["window"]), params["cls_token"])
        names = set(agent.state_dict())
        agent.load_state_dict({name[2:]: value for name, value in t.items() if name[2:] in names})
        qkv = torch.nn.functional.linear(t["x"], t["w.qkv.weight"], t["w.qkv.bias"]).chunk(3, -1)
        with torch.no_grad():
            out = merge_heads(agent(*(split_heads(part, heads) for part in qkv)))
        self.close(out, t["core"])
        self.close(torch.nn.functional.linear(out, t["w.proj.weight"], t["w.proj.bias"]), t["out"])

    def test_class_token_and_overlapping_pools(self):
        self.check("agent_deit_w7_a9")

    def test_class_token_and_many_agents(self):
        self.check("agent_deit_w14_a49")

    def test_resized_biases(self):
        self.check("agent_swin_w11_a16")


class MixtureOfHead(Golden):
    def check(self, case):
        t, params = golden(case)
        heads = params["heads"]
        router = HeadRouter(params["C"], heads, params["shared"], params["routed_topk"])
        theirs = {"among_routed": "wg", "balance": "wg_0", "among_shared": "wg_1"}
        layers = {name.split(".")[0] for name in router.state_dict()}
        router.load_state_dict({f"{name}.weight": t[f"w.{theirs[name]}.weight"] for name in layers})
        qkv = torch.nn.functional.linear(t["x"], t["w.qkv.weight"], t["w.qkv.bias"]).chunk(3, -1)
        out = softmax_attention(*(split_heads(part, heads) for part in qkv), causal=False)
        with torch.no_grad():
            gates, auxiliary = router(t["x"])
        out = merge_heads(out * gates.transpose(1, 2)[..., None])
        self.close(out, t["core"])
        self.close(torch.nn.functional.linear(out, t["w.proj.weight"], t["w.proj.bias"]), t["out"])
        if "l_aux" in t:
            self.close(auxiliary.view(1), t["l_aux"])

    def test_shared_and_routed(self):
        self.check("moh_dit_h8_s4_k2_d16")

    def test_shared_alone(self):
        self.check("moh_dit_sharedonly")

    def test_equal_routers_choose_the_lowest_heads(self):
        router = HeadRouter(4, 6, 2, 2)
        torch.nn.init.zeros_(router.among_routed.weight)
        gates, _ = router(torch.ones(1, 4))
        self.assertEqual([bool(gate) for gate in gates[0]], [True, True, True, True, False, False])


if __name__ == "__main__":
    unittest.main()
