#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "brume/weights/adapters/adapter_choice.h"
#include "brume/weights/adapters/adapter_key.h"
#include "brume/weights/adapters/module_names.h"
#include "brume/weights/dialects/original_unet_names.h"
#include "message_of.h"

namespace brume {
namespace {

struct KeyCase {
  const char* key;
  AdapterTower tower;
  const char* module;
  AdapterRole role;
};

// Keys as they stand in published files.
const std::vector<KeyCase> kKeys{
    {"lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q.lora_down.weight",
     AdapterTower::kUNet, "down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q", AdapterRole::kDown},
    {"lora_te_text_model_encoder_layers_0_mlp_fc1.lora_up.weight", AdapterTower::kText,
     "encoder_layers_0_mlp_fc1", AdapterRole::kUp},
    {"lora_te1_text_model_encoder_layers_0_self_attn_k_proj.alpha", AdapterTower::kText,
     "encoder_layers_0_self_attn_k_proj", AdapterRole::kAlpha},
    {"lora_te2_text_projection.lora_down.weight", AdapterTower::kText2, "text_projection",
     AdapterRole::kDown},
    {"lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q.lora_up.weight", AdapterTower::kUNet,
     "input_blocks_4_1_transformer_blocks_0_attn1_to_q", AdapterRole::kUp},
    {"unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_out.0.lora_A.weight", AdapterTower::kUNet,
     "mid_block_attentions_0_transformer_blocks_0_attn2_to_out_0", AdapterRole::kDown},
    {"unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_k.lora.up.weight", AdapterTower::kUNet,
     "mid_block_attentions_0_transformer_blocks_0_attn2_to_k", AdapterRole::kUp},
    {"mid_block.attentions.0.transformer_blocks.0.attn1.processor.to_out_lora.down.weight",
     AdapterTower::kUNet, "mid_block_attentions_0_transformer_blocks_0_attn1_to_out_0", AdapterRole::kDown},
    {"unet.up_blocks.1.attentions.0.transformer_blocks.0.attn1.processor.to_q_lora.up.weight",
     AdapterTower::kUNet, "up_blocks_1_attentions_0_transformer_blocks_0_attn1_to_q", AdapterRole::kUp},
    {"text_encoder.text_model.encoder.layers.3.self_attn.to_out_lora.up.weight", AdapterTower::kText,
     "encoder_layers_3_self_attn_out_proj", AdapterRole::kUp},
    {"text_encoder_2.text_model.encoder.layers.3.self_attn.q_proj.lora_linear_layer.down.weight",
     AdapterTower::kText2, "encoder_layers_3_self_attn_q_proj", AdapterRole::kDown},
    {"base_model.model.down_blocks.0.resnets.0.conv1.lora_B.default.weight", AdapterTower::kUNet,
     "down_blocks_0_resnets_0_conv1", AdapterRole::kUp},
    {"base_model.model.text_model.encoder.layers.1.mlp.fc2.lora_A.weight", AdapterTower::kText,
     "encoder_layers_1_mlp_fc2", AdapterRole::kDown},
    {"diffusion_model.input_blocks.1.1.proj_in.lora_down.weight", AdapterTower::kUNet,
     "input_blocks_1_1_proj_in", AdapterRole::kDown},
    {"conditioner.embedders.1.model.transformer.resblocks.0.mlp.c_fc.hada_w1_a", AdapterTower::kText2,
     "transformer_resblocks_0_mlp_c_fc", AdapterRole::kHadaW1A},
    {"lycoris_down_blocks_0_resnets_0_conv1.lokr_t2", AdapterTower::kUNet, "down_blocks_0_resnets_0_conv1",
     AdapterRole::kLokrT2},
    {"unet.conv_in.lora_magnitude_vector", AdapterTower::kUNet, "conv_in", AdapterRole::kMagnitude},
    {"lora_unet_conv_in.dora_scale", AdapterTower::kUNet, "conv_in", AdapterRole::kDoraScale},
    {"lora_unet_conv_in.diff_b", AdapterTower::kUNet, "conv_in", AdapterRole::kDiffBias},
};

TEST(AdapterKeys, EveryNamingIsRead) {
  for (const KeyCase& one : kKeys) {
    const std::optional<AdapterKey> key = read_adapter_key(one.key);
    ASSERT_TRUE(key) << one.key;
    EXPECT_EQ(key->tower, one.tower) << one.key;
    EXPECT_EQ(key->module, one.module) << one.key;
    EXPECT_EQ(key->role, one.role) << one.key;
  }
}

TEST(AdapterKeys, OtherTensorsAreStrangers) {
  for (const char* key :
       {"", ".alpha", "lora_unet_.alpha", "bundle_emb.cat.string_to_param.*", "conv_in.weight",
        "lora_unet_conv_in.oft_blocks", "lora_down.weight", "base_model.model..alpha"})
    EXPECT_FALSE(read_adapter_key(key)) << key;
}

/// The layers of Stable Diffusion 1's UNet that count its blocks, and some to be named.
std::vector<std::string> sd1_layers() {
  std::vector<std::string> layers{"conv_in", "time_embedding.linear_1", "conv_norm_out", "conv_out"};
  const auto add = [&](const std::string& name) { layers.push_back(name); };
  for (int i = 0; i < 4; ++i) {
    const std::string level = std::to_string(i);
    for (const std::string j : {"0", "1"}) {
      add("down_blocks." + level + ".resnets." + j + ".conv1");
      if (i < 3) add("down_blocks." + level + ".attentions." + j + ".proj_in");
    }
    if (i < 3) add("down_blocks." + level + ".downsamplers.0.conv");
    for (const std::string j : {"0", "1", "2"}) {
      add("up_blocks." + level + ".resnets." + j + ".conv_shortcut");
      if (i > 0) add("up_blocks." + level + ".attentions." + j + ".transformer_blocks.0.attn1.to_out.0");
    }
    if (i < 3) add("up_blocks." + level + ".upsamplers.0.conv");
  }
  for (const char* name : {"resnets.0.norm1", "attentions.0.norm", "resnets.1.time_emb_proj"})
    add(std::string("mid_block.") + name);
  return layers;
}

TEST(OriginalNames, AreThoseOfTheReleasedCheckpoints) {
  const OriginalUNetNames names(sd1_layers());
  EXPECT_EQ(names.input_blocks(), 12U);
  EXPECT_EQ(names.output_blocks(), 12U);
  const std::vector<std::pair<const char*, const char*>> pairs{
      {"conv_in", "input_blocks.0.0"},
      {"time_embedding.linear_1", "time_embed.0"},
      {"down_blocks.0.resnets.0.conv1", "input_blocks.1.0.in_layers.2"},
      {"down_blocks.0.attentions.1.proj_in", "input_blocks.2.1.proj_in"},
      {"down_blocks.0.downsamplers.0.conv", "input_blocks.3.0.op"},
      {"down_blocks.1.attentions.0.proj_in", "input_blocks.4.1.proj_in"},
      {"down_blocks.2.downsamplers.0.conv", "input_blocks.9.0.op"},
      {"down_blocks.3.resnets.1.conv1", "input_blocks.11.0.in_layers.2"},
      {"mid_block.resnets.0.norm1", "middle_block.0.in_layers.0"},
      {"mid_block.attentions.0.norm", "middle_block.1.norm"},
      {"mid_block.resnets.1.time_emb_proj", "middle_block.2.emb_layers.1"},
      {"up_blocks.0.upsamplers.0.conv", "output_blocks.2.1.conv"},
      {"up_blocks.1.upsamplers.0.conv", "output_blocks.5.2.conv"},
      {"up_blocks.3.resnets.2.conv_shortcut", "output_blocks.11.0.skip_connection"},
      {"up_blocks.1.attentions.0.transformer_blocks.0.attn1.to_out.0",
       "output_blocks.3.1.transformer_blocks.0.attn1.to_out.0"},
      {"conv_norm_out", "out.0"},
      {"conv_out", "out.2"}};
  for (const auto& [ours, original] : pairs) EXPECT_EQ(names.of(ours), original) << ours;
  for (const char* none : {"", "down_blocks", "down_blocks.0.resnets", "down_blocks.x.resnets.0.conv1",
                           "down_blocks.0.resnets.99999999999999999999.conv1", "mid_block.resnets.0.conv9",
                           "up_blocks.7.upsamplers.0.conv", "down_blocks.0.upsamplers.0.conv"})
    EXPECT_FALSE(names.of(none)) << none;
}

std::vector<std::string> weights_of(std::vector<std::string> layers) {
  for (std::string& layer : layers) layer += ".weight";
  return layers;
}

TEST(ModuleNames, AUNetsBlocksAreCountedAsA1111CountsThem) {
  const ModuleNames names(AdapterTower::kUNet, weights_of(sd1_layers()));
  EXPECT_EQ(names.block_of("time_embedding.linear_1"), 0U);
  EXPECT_EQ(names.block_of("conv_in"), 1U);
  EXPECT_EQ(names.block_of("down_blocks.1.attentions.0.proj_in"), 1U + 4);
  EXPECT_EQ(names.block_of("mid_block.attentions.0.norm"), 1U + 12);
  EXPECT_EQ(names.block_of("up_blocks.3.resnets.2.conv_shortcut"), 2U + 12 + 11);
  ASSERT_EQ(names.find("input_blocks_4_1_proj_in").size(), 1U);
  EXPECT_EQ(names.find("input_blocks_4_1_proj_in")[0].layer, "down_blocks.1.attentions.0.proj_in");
  EXPECT_EQ(names.find("down_blocks_1_attentions_0_proj_in")[0].layer, "down_blocks.1.attentions.0.proj_in");
  EXPECT_TRUE(names.find("nothing").empty());
}

TEST(ModuleNames, TextEncodersHaveOpenClipsNamesToo) {
  for (const std::string before : {"text_model.", ""}) {
    const ModuleNames names(AdapterTower::kText2,
                            {before + "encoder.layers.7.self_attn.k_proj.weight",
                             before + "encoder.layers.7.self_attn.k_proj.bias",
                             before + "encoder.layers.7.self_attn.q_proj.weight",
                             before + "encoder.layers.7.mlp.fc1.weight", "text_projection.weight"});
    EXPECT_EQ(names.find("encoder_layers_7_mlp_fc1").at(0).layer, before + "encoder.layers.7.mlp.fc1");
    EXPECT_EQ(names.find("transformer_resblocks_7_mlp_c_fc").at(0).layer,
              before + "encoder.layers.7.mlp.fc1");
    EXPECT_EQ(names.find("text_projection").at(0).layer, "text_projection");
    const std::vector<ModulePlace>& joined = names.find("transformer_resblocks_7_attn_in_proj");
    ASSERT_EQ(joined.size(), 2U);
    EXPECT_EQ(joined[0].part, 1);  // k, of q, k, v
    EXPECT_EQ(joined[1].part, 0);
    EXPECT_EQ(joined[1].parts, 3);
  }
}

TEST(AdapterChoices, AreReadFromTheEnd) {
  EXPECT_EQ(adapter_choice("a.safetensors").file, "a.safetensors");
  EXPECT_EQ(adapter_choice("a.safetensors").strength, AdapterStrength{});
  EXPECT_EQ(adapter_choice("a.safetensors:0.8").strength, (AdapterStrength{0.8, 0.8, {}}));
  EXPECT_EQ(adapter_choice("d/a.safetensors:-1:0.5").strength, (AdapterStrength{-1, 0.5, {}}));
  EXPECT_EQ(adapter_choice("a:te=0.5:unet=2:lbw=1,0,0.5").strength, (AdapterStrength{0.5, 2, {1, 0, 0.5}}));
  EXPECT_EQ(adapter_choice("C:a:1").file, "C:a");
  EXPECT_EQ(adapter_choice("a:b").file, "a:b");
  EXPECT_EQ(adapter_choice("v1.2.safetensors:1").name(), "v1.2");
  for (const char* text : {"a:0.8", "a:0.8:0.5", "a:1:lbw=1,0,0.25", "a:-0.1"})
    EXPECT_EQ(choice_text(adapter_choice(text)), text);
  EXPECT_EQ(choice_text(adapter_choice("a:te=1:unet=1")), "a:1");
  for (const char* wrong : {"a:1:2:3", "a:te=x", "a:lbw=1,,2", "a:unet=1e9", "a:te=nan", "a:lbw=MIDD"})
    EXPECT_NE(message_of([&] { adapter_choice(wrong); }, ExitCode::kUsage).find("--lora a"),
              std::string::npos)
        << wrong;
}

}  // namespace
}  // namespace brume
