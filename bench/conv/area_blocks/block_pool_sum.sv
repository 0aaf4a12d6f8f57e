// A unit's sum of a global pool: a slice's codes added to those of all slices before, in Bits bits;
// when a channel group is complete the sums turn, each takes that of a unit behind it.
module block_pool_sum #(
  parameter int Places = 1,
  parameter int Bits = 14
) (
  input  logic clk_i,
  input  logic turns_i,
  input  logic [8*Places-1:0] codes_i,
  input  logic [Bits-1:0] next_i,
  output logic [Bits-1:0] sum_o
);
  logic [Bits-1:0] tree, tree_q;
  always_comb begin
    tree = '0;
    for (int p = 0; p < Places; p++) tree = tree + Bits'(codes_i[8*p +: 8]);
  end
  always_ff @(posedge clk_i) begin
    tree_q <= tree;
    sum_o <= turns_i ? next_i : sum_o + tree_q;
  end
endmodule
