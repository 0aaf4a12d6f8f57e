// A multiplier as rows on carry chains, 3 to 8 bits: x * weight - 2^(Bits-1); combinational.
// The sign's row is a complement; what it lacks is the same for every product: it goes to the bias.
// Packed = 1: the rows' gates lie in the adders' own input functions.
module lane_rows #(
  parameter int Bits = 8,
  parameter bit Packed = 1'b0
) (
  input  logic signed [8:0] x_i,
  input  logic [Bits-1:0] weight_i,
  output logic [Bits+7:0] product_o
);
  localparam int Pairs = Bits / 2;
  localparam bit Odd = Bits % 2 != 0;
  logic [11*Pairs-1:0] sum;
  for (genvar i = 0; i < Pairs; i++) begin : g_pair
    logic [10:0] pair;
    lane_pair #(
      .Last(!Odd && i == Pairs - 1), .Packed(Packed)
    ) u_pair (
      .x_i(x_i), .weight_i(weight_i[2*i +: 2]), .sum_o(pair)
    );
    if (i == 0) begin : g_first
      assign sum[10:0] = pair;
    end else begin : g_next
      assign sum[11*i +: 11] = {{2{sum[11*i-1]}}, sum[11*i-9 +: 9]} + pair;
    end
    if (Odd || i < Pairs - 1) begin : g_low
      assign product_o[2*i +: 2] = sum[11*i +: 2];
    end
  end
  if (Odd) begin : g_odd
    lane_single #(
      .Packed(Packed)
    ) u_last (
      .a_i(sum[11*Pairs-9 +: 9]), .x_i(x_i), .weight_i(weight_i[Bits-1]),
      .sum_o(product_o[Bits+7:Bits-1])
    );
  end else begin : g_even
    assign product_o[Bits+7:Bits-2] = sum[11*Pairs-11 +: 10];
  end
endmodule
