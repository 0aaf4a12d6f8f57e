// One lane's product, of the kind that lane_unit names; combinational.
// shift_i, keep_i, flip_i: the decoded terms of a shift lane. weight_i: of a multiplier.
module lane_product #(
  parameter int Kind = 0,
  parameter int Terms = 1,
  parameter int Bits = 8,
  parameter bit Packed = 1'b0,
  parameter int Width = 16
) (
  input  logic signed [8:0] x_i,
  input  logic [3*Terms-1:0] shift_i,
  input  logic [Terms-1:0] keep_i,
  input  logic [Terms-1:0] flip_i,
  input  logic [7:0] weight_i,
  output logic signed [Width-1:0] product_o
);
  if (Kind == 2) begin : g_multiply
    lane_multiply #(
      .Bits(Bits)
    ) u_multiply (
      .x_i(x_i), .weight_i(weight_i[Bits-1:0]), .product_o(product_o)
    );
  end else if (Kind == 3) begin : g_rows
    lane_rows #(
      .Bits(Bits), .Packed(Packed)
    ) u_rows (
      .x_i(x_i), .weight_i(weight_i[Bits-1:0]), .product_o(product_o)
    );
  end else begin : g_shift
    logic signed [15:0] first;
    lane_shift #(
      .Twos(Kind == 1)
    ) u_first (
      .x_i(x_i), .shift_i(shift_i[2:0]), .keep_i(keep_i[0]), .flip_i(flip_i[0]),
      .product_o(first)
    );
    if (Terms == 1) begin : g_one
      assign product_o = first;
    end else begin : g_two
      logic signed [15:0] second;
      lane_shift #(
        .Twos(Kind == 1)
      ) u_second (
        .x_i(x_i), .shift_i(shift_i[3*Terms-1:3*Terms-3]), .keep_i(keep_i[Terms-1]),
        .flip_i(flip_i[Terms-1]), .product_o(second)
      );
      assign product_o = Width'(first) + Width'(second);
    end
  end
endmodule
