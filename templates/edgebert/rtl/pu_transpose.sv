// Rows of Lanes x Lanes tiles to columns. With turn_i the rows of a tile come in order (valid only,
// at most one a cycle, pauses allowed) and its columns leave in Lanes cycles after the last row,
// while the next tile is taken; the tag is that of the last row. Else rows pass, a cycle later.
module pu_transpose #(
  parameter int unsigned TagWidth = 8
) (
  input  logic clk_i,
  input  logic rst_ni,
  input  logic turn_i,
  input  logic in_valid_i,
  input  pu_pkg::row_t in_row_i,
  input  logic [TagWidth-1:0] in_tag_i,
  input  logic [pu_pkg::Lanes-1:0][pu_pkg::AfBits-1:0] in_data_i,
  output logic out_valid_o,
  output pu_pkg::row_t out_row_o,
  output logic [TagWidth-1:0] out_tag_o,
  output logic [pu_pkg::Lanes-1:0][pu_pkg::AfBits-1:0] out_data_o
);
  localparam int unsigned Lanes = pu_pkg::Lanes;
  localparam pu_pkg::row_t Last = '1;
  // Two tiles: one is written row by row, the other read column by column.
  logic [pu_pkg::Lanes-1:0][pu_pkg::AfBits-1:0] tile_q [2 * Lanes];
  logic write_q, reading_q, last_row;
  pu_pkg::row_t column_q;
  logic [TagWidth-1:0] tag_q;
  logic [pu_pkg::Lanes-1:0][pu_pkg::AfBits-1:0] column;

  assign last_row = in_valid_i && in_row_i == Last;
  for (genvar i = 0; i < Lanes; i++) begin : gen_column
    assign column[i] = tile_q[{!write_q, pu_pkg::RowBits'(i)}][column_q];
  end
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      write_q <= 1'b0;
      reading_q <= 1'b0;
      out_valid_o <= 1'b0;
    end else begin
      out_valid_o <= turn_i ? reading_q : in_valid_i;
      if (turn_i && last_row) begin
        write_q <= !write_q;
        reading_q <= 1'b1;
      end else if (column_q == Last) begin
        reading_q <= 1'b0;
      end
    end
  end
  always_ff @(posedge clk_i) begin
    if (turn_i && in_valid_i) tile_q[{write_q, in_row_i}] <= in_data_i;
    if (last_row) tag_q <= in_tag_i;
    column_q <= (turn_i && reading_q) ? column_q + 1'b1 : '0;
    if (turn_i ? reading_q : in_valid_i) begin
      out_row_o <= turn_i ? column_q : in_row_i;
      out_tag_o <= turn_i ? tag_q : in_tag_i;
      out_data_o <= turn_i ? column : in_data_i;
    end
  end
`ifndef SYNTHESIS
  always_ff @(posedge clk_i) begin
    if (turn_i && last_row && reading_q && column_q != Last) begin
      $fatal(1, "a tile came before the one before had left");
    end
  end
`endif // SYNTHESIS
endmodule
