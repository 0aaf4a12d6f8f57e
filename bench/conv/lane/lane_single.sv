// The last row of a multiplier with an odd number of them: a - x * weight - 1; combinational.
module lane_single #(
  parameter bit Packed = 1'b0
) (
  input  logic signed [8:0] a_i,
  input  logic signed [8:0] x_i,
  input  logic weight_i,
  output logic signed [8:0] sum_o
);
  if (Packed) begin : g_packed
    lane_fused_add #(
      .Width(9), .F(16'hff00), .G(16'h3f3f)  // d; the complement of b & c
    ) u_add (
      .a_i('0), .b_i(x_i), .c_i({9{weight_i}}), .d_i(a_i), .e_i('0), .sum_o(sum_o)
    );
  end else begin : g_plain
    assign sum_o = a_i + ~(x_i & {9{weight_i}});
  end
endmodule
