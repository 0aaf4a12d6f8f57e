// One unit's lanes: nine taps of every pixel, with the weights' decoders, which pixels share.
// Kind: 0 shifts, negative terms as complements; 1 shifts in two's complement; 2 multipliers as
// operators; 3 multipliers as rows on carry chains. Terms: shifters a lane. Bits: of a multiplier's
// weight. Packed: what carry chains can take is in their input functions.
module lane_unit #(
  parameter int Kind = 0,
  parameter int Terms = 1,
  parameter int Bits = 8,
  parameter bit Packed = 1'b0,
  parameter int Pixels = 7
) (
  input  logic clk_i,
  input  logic first_i,
  input  logic [81*Pixels-1:0] x_i,
  input  logic [71:0] code_i,
  output logic [32*Pixels-1:0] acc_o
);
  localparam bit Shifts = Kind < 2;
  localparam bit Flips = Packed && Shifts && Terms == 1;  // where the complement is taken
  localparam int Width = Shifts ? 15 + Terms : Bits + 8;

  logic [27*Terms-1:0] shift;
  logic [9*Terms-1:0] keep, flip;
  for (genvar i = 0; i < 9 * Terms; i++) begin : g_term
    lane_decode u_decode (
      .code_i(code_i[8*(i/Terms)+4*(i%Terms) +: 4]), .shift_o(shift[3*i +: 3]),
      .keep_o(keep[i]), .flip_o(flip[i])
    );
  end

  for (genvar p = 0; p < Pixels; p++) begin : g_pixel
    logic [9*Width-1:0] product;
    for (genvar t = 0; t < 9; t++) begin : g_lane
      lane_product #(
        .Kind(Kind), .Terms(Terms), .Bits(Bits), .Packed(Packed), .Width(Width)
      ) u_product (
        .x_i(x_i[81*p+9*t +: 9]), .shift_i(shift[3*Terms*t +: 3*Terms]),
        .keep_i(keep[Terms*t +: Terms]), .flip_i(Flips ? '0 : flip[Terms*t +: Terms]),
        .weight_i(code_i[8*t +: 8]), .product_o(product[Width*t +: Width])
      );
    end
    lane_sum #(
      .Width(Width), .Packed(Packed)
    ) u_sum (
      .clk_i(clk_i), .first_i(first_i), .product_i(product), .flip_i(Flips ? flip[8:0] : 9'd0),
      .acc_o(acc_o[32*p +: 32])
    );
  end
endmodule
