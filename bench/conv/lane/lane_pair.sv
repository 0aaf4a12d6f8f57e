// Two rows of a multiplier: x * weight[0] + 2 * x * weight[1]; combinational.
// Last = 1: the upper row is the sign's and enters as its complement, -2 * x * weight[1] - 2.
module lane_pair #(
  parameter bit Last = 1'b0,
  parameter bit Packed = 1'b0
) (
  input  logic signed [8:0] x_i,
  input  logic [1:0] weight_i,
  output logic signed [10:0] sum_o
);
  logic [9:0] sum;
  assign sum_o = {sum, x_i[0] & weight_i[0]};
  if (Packed) begin : g_packed
    localparam logic [15:0] Lower = 16'ha0a0;              // a & c
    localparam logic [15:0] Upper = Last ? 16'h33ff : 16'hcc00;  // b & e, or its complement
    lane_fused_add #(
      .Width(10), .F(Lower), .G(Upper)
    ) u_add (
      .a_i({x_i[8], x_i[8], x_i[8:1]}), .b_i({x_i[8], x_i[8:0]}),
      .c_i({10{weight_i[0]}}), .d_i('0), .e_i({10{weight_i[1]}}), .sum_o(sum)
    );
  end else begin : g_plain
    logic signed [8:0] lower, upper;
    assign lower = x_i & {9{weight_i[0]}};
    assign upper = (x_i & {9{weight_i[1]}}) ^ {9{Last}};
    assign sum = {{2{lower[8]}}, lower[8:1]} + {upper[8], upper};
  end
endmodule
